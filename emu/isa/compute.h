// SPDX-License-Identifier: Apache-2.0
// What the operations of the opcode table compute, in one place (kernel: ___bpf_prog_run).
#pragma once

#include "emu/isa/opcode.h"

namespace bpfemu {

// The value of `a OPERATION b`; a comparison gives 0 or 1. `wide`: 64-bit operands, else 32-bit ones and the upper half
// of the result is 0.
constexpr u64 compute(Operation operation, u64 a, u64 b, bool wide) {
  if (!wide) {
    a = static_cast<u32>(a);
    b = static_cast<u32>(b);
  }
  const u32 bits = wide ? 64 : 32;
  const s64 sa = wide ? static_cast<s64>(a) : static_cast<s32>(a);
  const s64 sb = wide ? static_cast<s64>(b) : static_cast<s32>(b);
  u64 result = 0;
  switch (operation) {
    case Operation::none: break;
    case Operation::add: result = a + b; break;
    case Operation::sub: result = a - b; break;
    case Operation::mul: result = a * b; break;
    case Operation::div: result = b ? a / b : 0; break;
    case Operation::mod: result = b ? a % b : a; break;
    case Operation::bit_or: result = a | b; break;
    case Operation::bit_and: result = a & b; break;
    case Operation::bit_xor: result = a ^ b; break;
    case Operation::lsh: result = a << (b & (bits - 1)); break;
    case Operation::rsh: result = a >> (b & (bits - 1)); break;
    case Operation::arsh: result = static_cast<u64>(sa >> (b & (bits - 1))); break;
    case Operation::neg: result = -a; break;
    case Operation::mov: result = b; break;
    case Operation::eq: result = a == b; break;
    case Operation::ne: result = a != b; break;
    case Operation::gt: result = a > b; break;
    case Operation::ge: result = a >= b; break;
    case Operation::lt: result = a < b; break;
    case Operation::le: result = a <= b; break;
    case Operation::sgt: result = sa > sb; break;
    case Operation::sge: result = sa >= sb; break;
    case Operation::slt: result = sa < sb; break;
    case Operation::sle: result = sa <= sb; break;
    case Operation::set: result = (a & b) != 0; break;
  }
  return wide ? result : static_cast<u32>(result);
}

}  // namespace bpfemu

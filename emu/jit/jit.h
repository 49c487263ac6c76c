// SPDX-License-Identifier: Apache-2.0
// x86-64 code for verified programs. Register use follows the kernel's JIT, so that what programs can observe
// (stack layout, tail-call depth) is the same: R0 rax, R1-R5 rdi rsi rdx rcx r8, R6 rbx, R7 r13, R8 r14, R9 r15,
// R10 rbp; r12 holds the Run, r9 carries it into helpers, r10 and r11 are scratch.
#pragma once

#include <vector>

#include "emu/base/result.h"
#include "emu/isa/executable.h"

namespace bpfemu {

struct JitOutput {
  std::vector<u8> code;                           // position-dependent: assembled for `address`
  std::vector<u32> insn_offsets;                  // code offset of each instruction, and one past the last
  u32 entry = 0, tail_call_entry = 0, function_entry = 0;  // offsets into code
};

// How many bytes of arena the code may need at the most.
size_t jit_size_bound(const Executable& input);
// Assembles for the given arena address. EINVAL for an instruction that the JIT does not know (a bug: the verifier
// lets only known ones through).
Result<JitOutput> jit_compile(const Executable& input, u64 address);

}  // namespace bpfemu

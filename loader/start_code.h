// SPDX-License-Identifier: Apache-2.0
// What a program runs before its first instruction, so that it decides calls without a stop for that: it maps the area of
// stubs and the table, and puts its stubs there. It may be left at any instruction, and never be entered again.
#pragma once

#include <span>
#include <vector>

#include "emu/abi/pt_regs.h"

namespace bpfemu {

inline constexpr u64 kMostStartCode = 512;  // without stubs

struct StartCode {
  u64 at;                     // where it will lie
  u64 area_size;              // of the stubs
  std::span<const u8> stubs;  // what the area begins with
  int table;                  // PathTable::key()
};

struct BuiltStart {
  std::vector<u8> code;
  u64 failed;  // offset behind the int3 that it runs into when one of its calls fails
};
// Goes on as `regs` are, at their rip, which is within reach of a 32-bit jump. Neither flags nor stack are touched.
BuiltStart build_start(const StartCode& start, const PtRegs& regs);

}  // namespace bpfemu

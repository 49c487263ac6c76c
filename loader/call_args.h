// SPDX-License-Identifier: Apache-2.0
// Where x86-64 keeps a system call's arguments.
#pragma once

#include <array>

#include "emu/abi/pt_regs.h"

namespace bpfemu {

inline std::array<u64, 6> args_of(const PtRegs& r) {
  return {r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9};
}

// PtRegs, or the kernel's user_regs_struct.
template <class Regs>
void set_args(Regs& r, const std::array<u64, 6>& args) {
  r.rdi = args[0];
  r.rsi = args[1];
  r.rdx = args[2];
  r.r10 = args[3];
  r.r8 = args[4];
  r.r9 = args[5];
}

}  // namespace bpfemu

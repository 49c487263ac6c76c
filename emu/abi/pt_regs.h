// SPDX-License-Identifier: Apache-2.0
// struct pt_regs of x86-64 (arch/x86/include/uapi/asm/ptrace.h): the context of kprobe and uprobe programs, and how
// the loader hands a stopped thread's registers to the model.
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

struct PtRegs {
  u64 r15, r14, r13, r12, rbp, rbx;
  u64 r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
  u64 orig_rax, rip, cs, eflags, rsp, ss;
};
static_assert(sizeof(PtRegs) == 21 * 8);

}  // namespace bpfemu

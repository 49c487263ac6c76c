// SPDX-License-Identifier: Apache-2.0
// The oracle: runs a fixed-up program instruction by instruction, simply and slowly. The JIT must agree with it.
//
// Callbacks: helpers take native function pointers, so a load of BPF_PSEUDO_FUNC yields the address of one of a fixed
// set of trampolines, one per subprogram number. A trampoline finds the machine to re-enter through Run::stack_base.
#pragma once

#include "emu/base/result.h"
#include "emu/isa/executable.h"

namespace bpfemu {

// Limits of the kernel: BPF_MAX_SUBPROGS, MAX_CALL_FRAMES, MAX_TAIL_CALL_CNT.
inline constexpr u32 kMaxSubprograms = 256;
inline constexpr u32 kMaxFrames = 8;
inline constexpr u32 kMaxTailCalls = 33;

// R0 at exit. `budget` bounds the executed instructions: ELOOP when it runs out (tests run unverified loops), EINVAL
// for what cannot be run.
Result<u64> interpret(const Executable& input, Run* run, void* context, u64 budget);

}  // namespace bpfemu

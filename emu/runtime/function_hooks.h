// SPDX-License-Identifier: Apache-2.0
// What hangs on a function of a program: other programs, called before and after it or in its place (kernel: struct
// bpf_trampoline of a program). In the arena; the function's own code looks there. Runtime code.
#pragma once

#include "emu/runtime/run.h"

namespace bpfemu {

struct FunctionHooks {
  static constexpr u32 kMost = 38;  // kernel: BPF_MAX_TRAMP_LINKS, of both sorts together
  static constexpr u32 kArguments = 5;
  struct Called {
    ProgramText* text;
    u64 cookie;
  };
  const ProgramText* replacement;  // null: the function itself
  u32 count;                       // of `before` and `after` together
  u32 arguments;                   // that the function takes
  u64 address;                     // where the claimed kernel has it
  u32 before_count, after_count;
  Called before[kMost], after[kMost];
};

// On the function's stack while programs are called around it: `values` is their context.
struct FunctionFrame {
  u64 address, count;
  u64 values[FunctionHooks::kArguments + 1];  // arguments, then the result
  u64 given[FunctionHooks::kArguments];       // what the function itself gets
  u64 padding;
};

// JIT code calls these. The second gives the result on.
extern "C" void bpfemu_function_entered(const FunctionHooks* hooks, FunctionFrame* frame, Run* run);
extern "C" u64 bpfemu_function_left(const FunctionHooks* hooks, FunctionFrame* frame, Run* run, u64 result);

}  // namespace bpfemu

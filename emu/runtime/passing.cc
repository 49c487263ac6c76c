// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/passing.h"

namespace bpfemu {

void RuntimePassing::enter(RuntimeFunction function, const u64 (&arguments)[kRuntimeArguments]) {
  call_.function = static_cast<u32>(function);
  for (u32 n = 0; n < kRuntimeArguments; ++n) call_.arguments[n] = arguments[n];
  call_.listeners = run_->env->function_entered(run_->env->self, run_, &call_);
}

void RuntimePassing::told(u64 result) {
  run_->env->function_left(run_->env->self, run_, &call_, result);
}

extern "C" u64 bpfemu_helper_called(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5, Run* run, HelperFn helper, u64 function) {
  RuntimePassing passing(run, static_cast<RuntimeFunction>(function), r1, r2, r3, r4, r5);
  return passing.leave(helper(r1, r2, r3, r4, r5, run));
}

}  // namespace bpfemu

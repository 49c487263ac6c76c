// SPDX-License-Identifier: Apache-2.0
// Per-CPU variables of the kernel. Runtime code.
#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

u64 variable_of(Run* run, u64 symbol, u32 cpu) {
  return run->env->per_cpu ? run->env->per_cpu(run->env->self, symbol, cpu) : 0;
}

}  // namespace

HELPER(help_per_cpu_ptr) {
  return low32(r2) < run->cpus ? variable_of(run, r1, low32(r2)) : 0;
}

HELPER(help_this_cpu_ptr) {
  return variable_of(run, r1, run->cpu->id);
}

}  // namespace bpfemu

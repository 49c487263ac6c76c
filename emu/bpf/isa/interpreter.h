// SPDX-License-Identifier: Apache-2.0
// The oracle: runs a fixed-up program instruction by instruction, simply and slowly. The JIT must agree with it.
#pragma once

#include "emu/base/result.h"
#include "emu/bpf/jit/jit.h"

namespace bpfemu {

// R0 at exit. `budget` bounds the executed instructions: ELOOP when it runs out (tests run unverified loops).
Result<u64> interpret(const JitInput& input, Run* run, void* context, u64 budget);

}  // namespace bpfemu

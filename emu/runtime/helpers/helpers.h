// SPDX-License-Identifier: Apache-2.0
// The helpers that programs can call: emu/abi/helper_functions.inc binds an id to its function; and the kernel functions:
// emu/abi/kfuncs.inc does so with their names. Runtime code.
#pragma once

#include <string_view>

#include "emu/runtime/run.h"

namespace bpfemu {

// The function behind a helper's id, null when it is not modelled (or, as bpf_tail_call, not a function).
HelperFn helper_function(u32 id);

// What of the task a helper shows to its program. Finding these costs system calls, so only who asks pays.
enum HelperNeed : u8 {
  kNeedsCpu = 1 << 0,   // the real CPU
  kNeedsComm = 1 << 1,
  kNeedsUser = 1 << 2,  // uid and gid
  kNeedsCgroup = 1 << 3,
};
u8 helper_needs(u32 id);

// The function behind a kernel function's name, null when it is not modelled.
HelperFn kfunc_function(std::string_view name);

// What maps call for a referenced kptr to such a struct that they still own, null: maps cannot own one.
HelperFn kptr_destructor(std::string_view structure);

// The RuntimeFunction with this symbol, -1: it is none.
s32 runtime_function(std::string_view symbol);

// Stands for one that is null, in programs that are loaded but never run.
u64 unmodelled_function(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5, Run* run);

// Every function in the tables, one file a family.
#define HELPER_FN(id, function, needs) u64 function(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5, Run* run);
#include "emu/abi/helper_functions.inc"
#define KFUNC(name, prog_types, flags, function) u64 function(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5, Run* run);
#include "emu/abi/kfuncs.inc"

}  // namespace bpfemu

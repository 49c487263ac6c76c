// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_TASK_STORAGE, INODE_STORAGE and SK_STORAGE: a value for each kernel object (kernel: bpf_local_storage). Objects go
// by the arena addresses of their structs, which is what programs hold, sockets by their cookies; the control plane turns bpf()'s descriptors
// into these. Runtime code.
#pragma once

#include "emu/runtime/maps/map.h"

namespace bpfemu {

// The object's value, null when it has none.
void* storage_find(Map& map, u64 owner);
// What BPF_LOCAL_STORAGE_GET_F_CREATE gives an object without one: `initial`, or zeros for null. Null: no memory.
void* storage_create(Run* run, Map& map, u64 owner, const void* initial);
u32 storage_count(Map& map);
// An owner that has a value, the one behind `owner` in no particular order; 0: the first, or there are no more. One that
// has none any longer is followed by the first.
u64 storage_next(Map& map, u64 owner);
// The object is gone, or its value is to go: -ENOENT.
s64 storage_erase(Run* run, Map& map, u64 owner);

}  // namespace bpfemu

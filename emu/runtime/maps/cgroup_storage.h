// SPDX-License-Identifier: Apache-2.0
// Values that belong to a cgroup and an attach type, or to a cgroup alone. They come when a program that uses the map
// is attached, and end with the cgroup or the map. Runtime code.
#pragma once

#include "emu/runtime/maps/map.h"

namespace bpfemu {

// The value, zero when it is new: null without room. Per CPU: the first CPU's, the others behind it.
void* cgroup_storage_of(Map& map, u64 cgroup, u32 attach_type);
// The cgroup is removed.
void cgroup_storage_forget(Map& map, u64 cgroup);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// struct cgroup, and the kernfs_node that its folder is.
#pragma once

#include "emu/bpf/cgroup.h"
#include "emu/kernel/object_space.h"

namespace bpfemu {

// With those above it. Null: no BTF, no memory.
KernelObject cgroup_object(ObjectSpace& space, const Cgroup& cgroup);

// The id of the cgroup whose struct is at an address of the arena; 0: none is there.
u64 cgroup_id_at(ObjectSpace& space, u64 address);

}  // namespace bpfemu

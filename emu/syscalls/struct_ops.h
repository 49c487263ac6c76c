// SPDX-License-Identifier: Apache-2.0
// The element of a STRUCT_OPS map: putting it in registers the structure with the kernel (kernel:
// kernel/bpf/bpf_struct_ops.c).
#pragma once

#include "emu/syscalls/bpf.h"

namespace bpfemu {

// EINVAL, E2BIG, EBADF, EBUSY: registered, or to be freed; EEXIST: the name is taken; EOPNOTSUPP: not this structure. 1,
// with which nothing is registered, when the owner is set behind a member that the structure takes by itself (kernel:
// bpf_struct_ops_map_update_elem).
Result<u64> register_struct_ops(BpfCall& call, const std::shared_ptr<MapObject>& map, const void* key,
                                const void* value, u64 flags);
// ENOENT: nothing is registered, EINPROGRESS: no longer (kernel: bpf_struct_ops_map_delete_elem).
Result<void> unregister_struct_ops(System& system, MapObject& map);

// The element's number of users is up to date.
void count_struct_ops(System& system);

}  // namespace bpfemu

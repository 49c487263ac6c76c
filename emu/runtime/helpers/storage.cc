// SPDX-License-Identifier: Apache-2.0
// Values that belong to tasks and inodes. Runtime code.
#include <linux/bpf.h>

#include "emu/runtime/helpers/call.h"
#include "emu/runtime/maps/object_storage.h"

namespace bpfemu {

// Kernel: bpf_task_storage_get, bpf_inode_storage_get.
HELPER(help_object_storage_get) {
  if ((r4 & ~u64{BPF_LOCAL_STORAGE_GET_F_CREATE}) || !r2) return 0;
  Map& map = map_at(r1);
  if (void* value = storage_find(map, r2)) return address_of(value);
  const bool create = r4 && !run->env->exhausted;
  return create ? address_of(storage_create(run, map, r2, pointer_to<const void>(r3))) : 0;
}

HELPER(help_object_storage_delete) {
  return result(r2 ? storage_erase(run, map_at(r1), r2) : -EINVAL);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Values that belong to tasks and inodes. Runtime code.
#include <linux/bpf.h>

#include "emu/runtime/helpers/call.h"
#include "emu/runtime/maps/object_storage.h"
#include "emu/runtime/passing.h"

namespace bpfemu {

namespace {

// Kernel: bpf_local_storage_lookup, which is not asked about an object that has no values at all.
void* look_up(Run* run, Map& map, u64 owner) {
  void* value = storage_find(map, owner);
  RuntimePassing passing(run, RuntimeFunction::bpf_local_storage_lookup, 0, address_of(&map), 1);
  passing.leave(value);
  return value;
}

u64 get(Run* run, Map& map, u64 owner, u64 initial, u64 flags) {
  if ((flags & ~u64{BPF_LOCAL_STORAGE_GET_F_CREATE}) || !owner) return 0;
  if (void* value = look_up(run, map, owner)) return address_of(value);
  if (!flags || run->env->exhausted) return 0;
  RuntimePassing passing(run, RuntimeFunction::bpf_local_storage_update, owner, address_of(&map), initial, BPF_NOEXIST);
  return address_of(passing.leave(storage_create(run, map, owner, pointer_to<const void>(initial))));
}

u64 erase(Run* run, Map& map, u64 owner) {
  if (!owner) return result(-EINVAL);
  return look_up(run, map, owner) ? result(storage_erase(run, map, owner)) : result(-ENOENT);
}

// A program that listens to what the helpers pass may not come to them again (kernel: bpf_task_storage_trylock).
class TaskStorage {
 public:
  explicit TaskStorage(Run* run) : run_(run) {
    for (const Run* each = run; each && !busy_; each = each->outer) busy_ = each->in_task_storage;
    if (!busy_) run_->in_task_storage = true;
  }
  ~TaskStorage() {
    if (!busy_) run_->in_task_storage = false;
  }
  TaskStorage(const TaskStorage&) = delete;
  TaskStorage& operator=(const TaskStorage&) = delete;
  bool busy() const { return busy_; }

 private:
  Run* run_;
  bool busy_ = false;
};

}  // namespace

HELPER(help_inode_storage_get) {
  return get(run, map_at(r1), r2, r3, r4);
}
HELPER(help_inode_storage_delete) {
  return erase(run, map_at(r1), r2);
}

HELPER(help_task_storage_get) {
  const TaskStorage storage(run);
  if (storage.busy()) return 0;
  // A task without users gets no value any more.
  const bool ended = r2 && r4 == BPF_LOCAL_STORAGE_GET_F_CREATE && run->env->task_ended && run->env->task_ended(run->env->self, r2);
  return get(run, map_at(r1), r2, r3, ended ? 0 : r4);
}
HELPER(help_task_storage_delete) {
  const TaskStorage storage(run);
  return storage.busy() && r2 ? result(-EBUSY) : erase(run, map_at(r1), r2);
}

}  // namespace bpfemu

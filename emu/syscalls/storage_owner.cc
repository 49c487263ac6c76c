// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/storage_owner.h"

#include <fmt/format.h>

#include "emu/base/proc_files.h"
#include "emu/runtime/maps/object_storage.h"

namespace bpfemu {

namespace {

Result<u64> task_of(BpfCall& call, int fd) {
  const std::string fields = "\n" + read_proc(call.task.tid(), fmt::format("fdinfo/{}", fd).c_str()).value_or("");
  const size_t at = fields.find("\nPid:");
  if (at == fields.npos) return fail(EBADF);
  const auto pid = static_cast<pid_t>(::strtol(fields.c_str() + at + 5, nullptr, 10));
  if (pid <= 0) return fail(ENOENT);
  const u64 task = call.system.probes->runner().task_struct(pid);
  if (task) return task;
  call.system.unmodelled.note("values of tasks that are not supervised");
  return fail(ENOENT);
}

Result<u64> inode_of(BpfCall& call, int fd) {
  auto file = call.system.objects->mounts.describe(call.task.tid(), fd);
  if (!file) return fail(EBADF);
  const u64 inode = call.system.objects->files.inode(*file).address();
  return inode ? Result<u64>(inode) : fail(ENOMEM);
}

}  // namespace

bool is_object_storage(const Map& map) {
  return map.type == BPF_MAP_TYPE_TASK_STORAGE || map.type == BPF_MAP_TYPE_INODE_STORAGE;
}

Result<u64> storage_owner(BpfCall& call, const Map& map, int fd) {
  return map.type == BPF_MAP_TYPE_TASK_STORAGE ? task_of(call, fd) : inode_of(call, fd);
}

void watch_storage_owners(System& system) {
  if (system.object_space->forgotten) return;
  system.object_space->forgotten = [&system](u64 address) {
    for (auto id = system.maps.next(0); id; id = system.maps.next(*id)) {
      auto map = system.maps.find(*id);
      if (map && is_object_storage((*map)->map())) storage_erase(nullptr, (*map)->map(), address);
    }
  };
}

}  // namespace bpfemu

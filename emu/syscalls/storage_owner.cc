// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/storage_owner.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

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

// The maps with values for objects that go by their addresses.
std::vector<std::shared_ptr<MapObject>> maps_by_address(System& system) {
  std::vector<std::shared_ptr<MapObject>> found;
  for (auto id = system.maps.next(0); id; id = system.maps.next(*id)) {
    const auto object = system.maps.find(*id);
    const bool by_address = object && (*object)->map().type != BPF_MAP_TYPE_SK_STORAGE;
    if (by_address && is_object_storage((*object)->map())) found.push_back(*object);
  }
  return found;
}

// Kernel: bpf_fd_sk_storage_lookup_elem and its like.
Result<u64> socket_of(BpfCall& call, int fd) {
  TRY(call.task.file_id(fd));
  const UniqueFd copy(TRY(call.task.share_fd(fd)));
  u64 cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(copy.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) return fail(errno);
  return cookie;
}

}  // namespace

bool is_object_storage(const Map& map) {
  return map.type == BPF_MAP_TYPE_TASK_STORAGE || map.type == BPF_MAP_TYPE_INODE_STORAGE ||
         map.type == BPF_MAP_TYPE_SK_STORAGE;
}

Result<u64> storage_owner(BpfCall& call, const Map& map, int fd) {
  switch (map.type) {
    case BPF_MAP_TYPE_TASK_STORAGE: return task_of(call, fd);
    case BPF_MAP_TYPE_INODE_STORAGE: return inode_of(call, fd);
    default: return socket_of(call, fd);
  }
}

void clone_socket_storage(System& system, u64 from, u64 to) {
  for (auto id = system.maps.next(0); id; id = system.maps.next(*id)) {
    const auto map = system.maps.find(*id);
    const bool clones = map && (*map)->map().type == BPF_MAP_TYPE_SK_STORAGE && ((*map)->map().flags & BPF_F_CLONE);
    void* const value = clones ? storage_find((*map)->map(), from) : nullptr;
    if (value && !storage_find((*map)->map(), to))
      (void)storage_create(nullptr, (*map)->map(), to, value);
  }
}

void drop_closed_owners(System& system, MapObject& object) {
  Map& map = object.map();
  if (map.type != BPF_MAP_TYPE_SK_STORAGE || storage_count(map) < object.crowded) return;
  const std::set<u64> living = system.probes->sockets().living(system.host);
  std::vector<u64> closed;
  for (u64 owner = storage_next(map, 0); owner; owner = storage_next(map, owner))
    if (!living.contains(owner)) closed.push_back(owner);
  for (u64 owner : closed) storage_erase(nullptr, map, owner);
  object.crowded = std::max(MapObject::kFewSockets, 2 * storage_count(map));
}

void watch_storage_owners(System& system) {
  if (system.object_space->forgotten) return;
  system.object_space->forgotten = [&system](u64 address) {
    for (const auto& object : maps_by_address(system)) storage_erase(nullptr, object->map(), address);
  };
  system.object_space->kept = [&system](u64 address) {
    return std::ranges::any_of(maps_by_address(system),
                               [=](const auto& object) { return storage_find(object->map(), address) != nullptr; });
  };
}

}  // namespace bpfemu

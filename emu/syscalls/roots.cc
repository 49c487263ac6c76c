// SPDX-License-Identifier: Apache-2.0
// Calls after which paths may mean something else (other roots, other mounts), and those that use a path in a way that
// the synthetic tree has nothing for.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <optional>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/node_file.h"
#include "emu/syscalls/path.h"

namespace bpfemu {

namespace {

Reply execute_target(System&, Call&, const Found& target) {
  if (target.magic || target.anonymous()) return Reply::native();
  return Reply::answer(-EACCES);  // none of ours is executable
}

Reply chroot_target(System& system, Call&, const Found& target) {
  if (target.magic) return Reply::native();
  if (!target.directory()) return Reply::answer(-ENOTDIR);
  system.unmodelled.note("chroot to " + target.path);
  return Reply::answer(-EPERM);
}

Reply watch_target(System& system, Call&, const Found& target) {
  if (target.magic || target.anonymous()) return Reply::native();
  system.unmodelled.note("inotify of " + target.path);
  return Reply::answer(-ENOSYS);
}

// struct file_handle with what kernfs puts into it.
struct CgroupHandle {
  u32 bytes;
  s32 type;
  u64 id;
};
constexpr s32 kKernfsHandle = 0xfe;   // FILEID_KERNFS
constexpr u32 kMaxHandle = 128, kIdBytes = sizeof(u64), kHandleHead = offsetof(CgroupHandle, id);

// Kernel: do_sys_name_to_handle, kernfs_encode_fh. Of our file systems cgroup2 alone has handles.
Reply handle_target(System& system, Call& call, const Found& target) {
  if (target.magic) return Reply::native();
  if (target.anonymous() || target.node->type != &kCgroup2) return Reply::answer(-EOPNOTSUPP);
  CgroupHandle handle{};
  if (!call.task.read(call.args[2], &handle, kHandleHead)) return Reply::answer(-EFAULT);
  if (handle.bytes > kMaxHandle) return Reply::answer(-EINVAL);
  const bool fits = handle.bytes >= kIdBytes;
  handle = {.bytes = kIdBytes, .type = fits ? kKernfsHandle : handle.type, .id = target.node->ino};
  const int mount = system.vfs->mount_number(target.path);
  const bool written = call.task.write(call.args[3], &mount, sizeof mount) &&
                       call.task.write(call.args[2], &handle, fits ? sizeof handle : kHandleHead);
  return Reply::answer(!written ? -EFAULT : fits ? 0 : -EOVERFLOW);
}

// Where under a folder of cgroups the one with an id is.
std::optional<Found> by_id(const Found& folder, u64 id) {
  if (folder.node->ino == id) return folder;
  for (const DirEntry& entry : folder.directory()->list()) {
    const auto child = folder.directory()->child(entry.name);
    if (!child) continue;
    Found found{Found::Where::kOurs, *child, (folder.path == "/" ? "" : folder.path) + "/" + entry.name};
    if ((*child)->ino == id) return found;
    if (!found.directory()) continue;
    if (auto below = by_id(found, id)) return below;
  }
  return std::nullopt;
}

}  // namespace

Reply enter_exec(System& system, Call& call) {
  bool at = call.number == SYS_execveat;
  PathArgument path;
  if (at) path = {.directory = 0, .path = 1, .flags = 4};
  return on_target(system, call, path, {.follow = follows(call, path)}, execute_target);
}

Reply enter_chroot(System& system, Call& call) {
  Reply reply = on_target(system, call, {}, {}, chroot_target);
  if (reply.kind != Reply::Kind::kNative) return reply;
  system.roots_differ = true;
  system.host_paths.forget();
  return reply;
}

// pivot_root, setns, move_mount: rare, and the kernel's own.
Reply enter_new_root(System& system, Call&) {
  system.host_paths.forget();
  system.roots_differ = true;
  return Reply::native();
}

Reply enter_inotify(System& system, Call& call) {
  constexpr u64 dont_follow = 0x02000000;  // IN_DONT_FOLLOW
  return on_target(system, call, {.directory = -1, .path = 1}, {.follow = !(call.args[2] & dont_follow)}, watch_target);
}

Reply enter_file_handle(System& system, Call& call) {
  bool follow = call.args[4] & AT_SYMLINK_FOLLOW;
  return on_target(system, call, {.directory = 0, .path = 1, .flags = 4}, {.follow = follow}, handle_target);
}

// Kernel: do_handle_open.
Reply enter_open_handle(System& system, Call& call) {
  const Found inside = find_descriptor(system, call.task, static_cast<int>(call.args[0]));
  if (!inside.ours()) return Reply::native();
  if (!system.credentials(call.task).dac_read_search) return Reply::answer(-EPERM);
  CgroupHandle handle{};
  if (!call.task.read(call.args[1], &handle, kHandleHead)) return Reply::answer(-EFAULT);
  if (handle.bytes == 0 || handle.bytes > kMaxHandle) return Reply::answer(-EINVAL);
  if (inside.anonymous() || inside.node->type != &kCgroup2) return Reply::answer(-ESTALE);
  if (handle.bytes < kIdBytes || handle.type != kKernfsHandle) return Reply::answer(-ESTALE);
  if (!call.task.read(call.args[1] + kHandleHead, &handle.id, sizeof handle.id)) return Reply::answer(-EFAULT);
  const std::string top(system.vfs->mount_of(inside.path));
  const auto found = by_id({Found::Where::kOurs, system.vfs->at(top), top}, handle.id);
  if (!found) return Reply::answer(-ESTALE);
  return Reply::answer(open_place(system, call, *found, static_cast<int>(call.args[2])));
}

}  // namespace bpfemu

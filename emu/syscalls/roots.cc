// SPDX-License-Identifier: Apache-2.0
// Calls after which paths may mean something else (other roots, other mounts), and those that use a path in a way that
// the synthetic tree has nothing for.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "emu/syscalls/handlers.h"
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

Reply handle_target(System&, Call&, const Found& target) {
  return target.magic ? Reply::native() : Reply::answer(-EOPNOTSUPP);
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

// None of our file systems has file handles.
Reply enter_file_handle(System& system, Call& call) {
  bool follow = call.args[4] & AT_SYMLINK_FOLLOW;
  return on_target(system, call, {.directory = 0, .path = 1, .flags = 4}, {.follow = follow}, handle_target);
}

}  // namespace bpfemu

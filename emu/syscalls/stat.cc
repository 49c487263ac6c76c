// SPDX-License-Identifier: Apache-2.0
// What files are: stat and its kin, access, statfs.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/path.h"

namespace bpfemu {

namespace {

constexpr u64 kNameMax = 255;
// What the mount options in /proc/mounts say, and that these flags are to be believed (kernel: ST_VALID).
constexpr long kStatfsFlags = 0x20 | ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_RELATIME;

struct statx extended(const struct stat& st) {
  struct statx x {};
  x.stx_mask = STATX_BASIC_STATS;
  x.stx_blksize = static_cast<u32>(st.st_blksize);
  x.stx_nlink = static_cast<u32>(st.st_nlink);
  x.stx_uid = st.st_uid;
  x.stx_gid = st.st_gid;
  x.stx_mode = static_cast<u16>(st.st_mode);
  x.stx_ino = st.st_ino;
  x.stx_size = static_cast<u64>(st.st_size);
  x.stx_blocks = static_cast<u64>(st.st_blocks);
  x.stx_atime = {st.st_atim.tv_sec, static_cast<u32>(st.st_atim.tv_nsec), {}};
  x.stx_mtime = {st.st_mtim.tv_sec, static_cast<u32>(st.st_mtim.tv_nsec), {}};
  x.stx_ctime = {st.st_ctim.tv_sec, static_cast<u32>(st.st_ctim.tv_nsec), {}};
  x.stx_dev_major = major(st.st_dev);
  x.stx_dev_minor = minor(st.st_dev);
  return x;
}

// Where each call of the family has its arguments.
struct StatCall {
  PathArgument path;
  int result;
};
StatCall shape_of(long number) {
  switch (number) {
    case SYS_newfstatat: return {{.directory = 0, .path = 1, .flags = 3}, 2};
    case SYS_statx: return {{.directory = 0, .path = 1, .flags = 2}, 4};
    default: return {{}, 1};
  }
}

bool bad_flags(const Call& call) {
  u64 known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;
  if (call.number == SYS_newfstatat) return static_cast<u32>(call.args[3]) & ~known;
  if (call.number != SYS_statx) return false;
  u32 flags = static_cast<u32>(call.args[2]), mask = static_cast<u32>(call.args[3]);
  return (flags & ~(known | AT_STATX_SYNC_TYPE)) || (mask & STATX__RESERVED) ||
         (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE;
}

Reply put_stat(Call& call, const struct stat& st) {
  u64 to = call.args[static_cast<size_t>(shape_of(call.number).result)];
  if (call.number == SYS_statx) {
    struct statx x = extended(st);
    return Reply::answer(call.task.write(to, &x, sizeof x));
  }
  return Reply::answer(call.task.write(to, &st, sizeof st));
}

Reply stat_target(System& system, Call& call, const Found& target) {
  if (target.magic) return Reply::native();  // the link in /proc is the host's; what it leads to is ours
  struct stat st;
  if (auto* descriptor = descriptor_of(target)) {
    descriptor->file->stat(st);
  } else {
    system.vfs->stat(target, st);
  }
  return put_stat(call, st);
}

Reply access_target(System& system, Call& call, const Found& target) {
  if (target.magic || target.anonymous()) return Reply::native();
  int mode = static_cast<int>(call.number == SYS_access ? call.args[1] : call.args[2]);
  if (mode & ~(R_OK | W_OK | X_OK)) return Reply::answer(-EINVAL);
  return Reply::answer(system.vfs->permits(system.credentials(call.task), target, mode));
}

Reply put_statfs(Call& call, u64 magic) {
  struct statfs fs {};
  fs.f_type = static_cast<__fsword_t>(magic);
  fs.f_bsize = fs.f_frsize = 4096;
  fs.f_namelen = kNameMax;
  fs.f_flags = kStatfsFlags;
  return Reply::answer(call.task.write(call.args[1], &fs, sizeof fs));
}

Reply statfs_target(System&, Call& call, const Found& target) {
  auto* descriptor = descriptor_of(target);
  return put_statfs(call, descriptor ? descriptor->file->fs_magic() : target.node->type->magic);
}

}  // namespace

Reply enter_stat(System& system, Call& call) {
  if (bad_flags(call)) return Reply::native();
  PathArgument path = shape_of(call.number).path;
  bool follow = call.number != SYS_lstat && follows(call, path);
  return show_owner(system, on_target(system, call, path, {.follow = follow}, stat_target));
}

Reply enter_fstat(System& system, Call& call) {
  Found found = find_descriptor(system, call.task, static_cast<int>(call.args[0]));
  return show_owner(system, found.ours() ? stat_target(system, call, found) : Reply::native());
}

Reply enter_access(System& system, Call& call) {
  PathArgument path;
  if (call.number != SYS_access) path = {.directory = 0, .path = 1};
  if (call.number == SYS_faccessat2) path.flags = 3;
  const Reply reply = on_target(system, call, path, {.follow = follows(call, path)}, access_target);
  const auto text = reply.kind == Reply::Kind::kNative && system.cgroups.used_types[BPF_CGROUP_DEVICE]
                        ? read_path(call.task, call.args[static_cast<size_t>(path.path)])
                        : fail(EFAULT);
  if (!text) return reply;
  const int mask = static_cast<int>(call.args[call.number == SYS_access ? 1 : 2]);
  return use_device_in_cgroup(system, call, {directory_of(call, path), *text, follows(call, path)}, mask)
      .value_or(reply);
}

Reply enter_statfs(System& system, Call& call) { return on_target(system, call, {}, {}, statfs_target); }

Reply enter_fstatfs(System& system, Call& call) {
  Found found = find_descriptor(system, call.task, static_cast<int>(call.args[0]));
  return found.ours() ? statfs_target(system, call, found) : Reply::native();
}

}  // namespace bpfemu

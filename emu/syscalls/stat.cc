// SPDX-License-Identifier: Apache-2.0
// What files are: stat and its kin, access, statfs.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/path.h"

namespace bpfemu {

namespace {

constexpr u64 kNameMax = 255;

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

// Where each call of the family has its result, and which flags say that a last link is not followed.
struct StatCall {
  int flags = -1;   // index of the flags argument
  int result = 1;   // index of the buffer argument
};
StatCall shape_of(long number) {
  switch (number) {
    case SYS_newfstatat: return {.flags = 3, .result = 2};
    case SYS_statx: return {.flags = 2, .result = 4};
    default: return {};
  }
}

Reply put_stat(Call& call, const struct stat& st) {
  u64 to = call.args[static_cast<size_t>(shape_of(call.number).result)];
  if (call.number == SYS_statx) {
    struct statx x = extended(st);
    return Reply::answer(call.task.write(to, &x, sizeof x));
  }
  return Reply::answer(call.task.write(to, &st, sizeof st));
}

bool follows(const Call& call) {
  int flags = shape_of(call.number).flags;
  if (call.number == SYS_lstat) return false;
  return flags < 0 || !(call.args[static_cast<size_t>(flags)] & AT_SYMLINK_NOFOLLOW);
}

Reply stat_target(System& system, Call& call, const Target& target) {
  struct stat st;
  if (target.descriptor) {
    // The link in /proc is the host's; what it leads to is ours.
    if (target.descriptor->info || !follows(call)) return Reply::native();
    target.descriptor->file->stat(st);
  } else {
    system.vfs->stat(target.found, st);
  }
  return put_stat(call, st);
}

Reply stat_descriptor(System& system, Call& call) {
  auto file = system.files.ours(call.task, static_cast<int>(call.args[0]));
  if (!file) return Reply::native();
  struct stat st;
  file->stat(st);
  return put_stat(call, st);
}

// An empty path with AT_EMPTY_PATH means the descriptor itself.
bool means_descriptor(Call& call) {
  int flags = shape_of(call.number).flags;
  if (flags < 0 || !(call.args[static_cast<size_t>(flags)] & AT_EMPTY_PATH)) return false;
  char first = 0;
  return call.args[1] == 0 || (call.task.read(call.args[1], &first, 1) && first == 0);
}

Reply access_target(System& system, Call& call, const Target& target) {
  if (target.descriptor) return Reply::native();
  int mode = static_cast<int>(call.number == SYS_access ? call.args[1] : call.args[2]);
  if (mode & ~(R_OK | W_OK | X_OK)) return Reply::answer(-EINVAL);
  return Reply::answer(system.vfs->permits(*target.found.node, mode));
}

Reply xattr_target(System&, Call& call, const Target& target) {
  if (target.descriptor) return Reply::native();
  bool list = call.number == SYS_listxattr || call.number == SYS_llistxattr;
  return Reply::answer(s64{list ? 0 : -EOPNOTSUPP});
}

Reply put_statfs(Call& call, u64 magic) {
  struct statfs fs {};
  fs.f_type = static_cast<__fsword_t>(magic);
  fs.f_bsize = fs.f_frsize = 4096;
  fs.f_namelen = kNameMax;
  fs.f_flags = 0x20;  // ST_VALID
  return Reply::answer(call.task.write(call.args[1], &fs, sizeof fs));
}

Reply statfs_target(System&, Call& call, const Target& target) {
  if (!target.descriptor) return put_statfs(call, target.found.node->type->magic);
  return target.descriptor->info ? Reply::native() : put_statfs(call, target.descriptor->file->fs_magic());
}

}  // namespace

Reply enter_stat(System& system, Call& call) {
  if (means_descriptor(call)) return stat_descriptor(system, call);
  bool at = shape_of(call.number).flags >= 0;
  return on_target(system, call, at ? PathArgument{0, 1} : PathArgument{-1, 0}, follows(call), stat_target);
}

Reply enter_fstat(System& system, Call& call) { return stat_descriptor(system, call); }

Reply enter_access(System& system, Call& call) {
  PathArgument path = call.number == SYS_access ? PathArgument{-1, 0} : PathArgument{0, 1};
  return on_target(system, call, path, true, access_target);
}

// Files of ours have no extended attributes.
Reply enter_xattr(System& system, Call& call) {
  bool follow = call.number == SYS_getxattr || call.number == SYS_listxattr;
  return on_target(system, call, PathArgument{-1, 0}, follow, xattr_target);
}

Reply enter_statfs(System& system, Call& call) {
  return on_target(system, call, PathArgument{-1, 0}, true, statfs_target);
}

Reply enter_fstatfs(System& system, Call& call) {
  auto file = system.files.ours(call.task, static_cast<int>(call.args[0]));
  return file ? put_statfs(call, file->fs_magic()) : Reply::native();
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Calls that ask for or change what a file is: stat and its like, links' texts, extended attributes, times, sizes.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "emu/hook/capability_checks.h"
#include "emu/hook/changes.h"
#include "emu/hook/lookup.h"
#include "emu/hook/paths.h"

namespace bpfemu {

namespace {

constexpr u64 kBasicStats = STATX_BASIC_STATS;
constexpr u64 kStatFlags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;

// kernel: vfs_getattr, which is inlined but for its two halves. `file` null: nothing to ask about.
struct Asked {
  Passing nosec, own;
  void leave(s64 result) const {
    own.leave(result);
    nosec.leave(result);
  }
};
Asked pass_getattr(Transit& call, const FileFacts* file, u64 kstat, u64 mask, u64 flags) {
  if (!file) return {};
  if (file->mount->type == "overlay") call.untold(Hook::vfs_getattr);  // of the file below
  auto path = [&] { return path_of(call, *file); };
  call.ask(Hook::security_inode_getattr, [&](Arguments& a) { a.lazily(0, path); });
  Asked asked;
  asked.nosec = call.enter(Hook::vfs_getattr_nosec, [&](Arguments& a) {
    a.lazily(0, path);
    a[1] = kstat;
    a[2] = mask;
    a[3] = flags;
  });
  if (file->regular() && file->mount->type == "ext4")
    asked.own = call.enter(Hook::ext4_file_getattr, [&](Arguments& a) {
      a.lazily(0, [&] { return mount_user_namespace(call); });
      a.lazily(1, path);
      a[2] = kstat;
      a[3] = mask;
      a[4] = flags & AT_STATX_SYNC_TYPE;
    });
  return asked;
}

// What stat() and statx() have in common. `names_file` off: the path is empty, and `folder` the file.
struct Question {
  u64 folder, path, flags, mask;
  bool by_vfs_fstatat;
};

Path asking(Transit& call, const Question wanted) {
  const u64 kstat = local(call, "kstat").address();
  Passing vfs_fstatat, vfs_statx;
  if (wanted.by_vfs_fstatat)
    vfs_fstatat = call.enter(Hook::vfs_fstatat, [&](Arguments& a) {
      a[0] = wanted.folder;
      a[1] = wanted.path;
      a[2] = kstat;
      a[3] = wanted.flags;
    });
  const u64 flags = wanted.by_vfs_fstatat ? wanted.flags | AT_NO_AUTOMOUNT : wanted.flags;
  Lookup at(call, wanted.folder, wanted.path,
            flags & AT_SYMLINK_NOFOLLOW ? Lookup::Last::kKeep : Lookup::Last::kFollow);
  const auto text = at.named() ? std::string(at.path()) : std::string();
  vfs_statx = call.enter(Hook::vfs_statx, [&](Arguments& a) {
    a[0] = wanted.folder;
    a.lazily(1, [&] { return filename(call, text, wanted.path); });
    a[2] = flags;
    a[3] = kstat;
    a[4] = wanted.mask;
  });
  Asked asked;
  if (!(flags & ~kStatFlags)) {
    const bool itself = !at.named() && (flags & AT_EMPTY_PATH);
    if (!itself) at.pass_names(true);
    OpenFile file(call, wanted.folder);
    const FileFacts* facts = itself ? file.facts() : at.target();
    asked = pass_getattr(call, facts, kstat, wanted.mask, flags);
  }
  const s64 result = co_await call.done();
  asked.leave(result);
  vfs_statx.leave(result);
  vfs_fstatat.leave(result);
}

}  // namespace

// stat, lstat, newfstatat
Path asking_by_name(Transit& call) {
  switch (call.number()) {
    case SYS_stat: return asking(call, {kHere, call.arg(0), 0, kBasicStats, true});
    case SYS_lstat: return asking(call, {kHere, call.arg(0), AT_SYMLINK_NOFOLLOW, kBasicStats, true});
    default: return asking(call, {call.arg(0), call.arg(1), static_cast<u32>(call.arg(3)), kBasicStats, true});
  }
}

// statx
Path asking_statx(Transit& call) {
  const u64 flags = static_cast<u32>(call.arg(2)), mask = static_cast<u32>(call.arg(3));
  if ((mask & STATX__RESERVED) || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE) return {};
  return asking(call, {call.arg(0), call.arg(1), flags, mask, false});
}

// fstat
Path asking_open_file(Transit& call) {
  const u64 kstat = local(call, "kstat").address();
  const Passing vfs_fstat = call.enter(Hook::vfs_fstat, [&](Arguments& a) {
    a[0] = call.arg(0);
    a[1] = kstat;
  });
  OpenFile file(call, call.arg(0));
  const Asked asked = pass_getattr(call, file.facts(), kstat, kBasicStats, 0);
  const s64 result = co_await call.done();
  asked.leave(result);
  vfs_fstat.leave(result);
}

// readlink, readlinkat
Path reading_link(Transit& call) {
  const u32 first = call.number() == SYS_readlinkat ? 1 : 0;
  Lookup at(call, first ? call.arg(0) : kHere, call.arg(first), Lookup::Last::kKeep);
  const s32 size = static_cast<s32>(call.arg(first + 2));
  Passing vfs_readlink;
  if (size > 0 && at.named()) {
    at.pass_names(true);
    if (at.target() && S_ISLNK(at.target()->inode.mode)) {
      call.ask(Hook::security_inode_readlink, [&](Arguments& a) { a.lazily(0, [&] { return at.target_dentry(); }); });
      vfs_readlink = call.enter(Hook::vfs_readlink, [&](Arguments& a) {
        a.lazily(0, [&] { return at.target_dentry(); });
        a[1] = call.arg(first + 1);
        a[2] = static_cast<u64>(size);
      });
    }
  }
  vfs_readlink.leave(co_await call.done());
}

// truncate
Path truncating(Transit& call) {
  Lookup at(call, kHere, call.arg(0), Lookup::Last::kFollow);
  const s64 length = static_cast<s64>(call.arg(1));
  Passing vfs_truncate, do_truncate;
  bool told = false;
  const auto enter_do_truncate = [&] {
    told = true;
    do_truncate = call.enter(Hook::do_truncate, [&](Arguments& a) {
      a.lazily(0, [&] { return mount_user_namespace(call); });
      a.lazily(1, [&] { return at.target_dentry(); });
      a[2] = static_cast<u64>(length);
    });
  };
  if (length >= 0 && at.named()) {
    at.pass_names(true);
    if (at.target()) {
      vfs_truncate = call.enter(Hook::vfs_truncate, [&](Arguments& a) {
        a.lazily(0, [&] { return at.target_path(); });
        a[1] = static_cast<u64>(length);
      });
      const bool asks = call.decided(Hook::security_path_truncate) || call.decided(Hook::security_inode_setattr);
      if (asks && at.target()->regular() && allows(call, kHere, call.arg(0), W_OK)) {
        call.ask(Hook::security_path_truncate, [&](Arguments& a) { a.lazily(0, [&] { return at.target_path(); }); });
        enter_do_truncate();
        pass_change(call, *at.target(), {.valid = kAttrSize, .size = static_cast<u64>(length)});
      }
    }
  }
  const s64 result = co_await call.done();
  // Whether the file may be written to is known by now.
  if (result == 0 && !told) enter_do_truncate();
  do_truncate.leave(result);
  vfs_truncate.leave(result);
}

// ftruncate
Path truncating_open_file(Transit& call) {
  const Passing do_sys_ftruncate = call.enter(Hook::do_sys_ftruncate, [&](Arguments& a) {
    a[0] = static_cast<u32>(call.arg(0));
    a[1] = call.arg(1);
    a[2] = 1;
  });
  OpenFile file(call, call.arg(0));
  const bool asks = call.decided(Hook::security_path_truncate) || call.decided(Hook::security_inode_setattr);
  Passing do_truncate;
  bool told = false;
  const auto enter_do_truncate = [&] {
    told = true;
    do_truncate = call.enter(Hook::do_truncate, [&](Arguments& a) {
      a.lazily(0, [&] { return mount_user_namespace(call); });
      a.lazily(1, [&] { return file.facts() ? call.services().files.dentry(*file.facts()).address() : u64{0}; });
      a[2] = call.arg(1);
      a[3] = kAttrMtime | kAttrCtime;
      a.lazily(4, [&] { return file.address(); });
    });
  };
  const FileFacts* facts = asks && file.writable() && static_cast<s64>(call.arg(1)) >= 0 ? file.facts() : nullptr;
  if (facts && facts->regular()) {
    call.ask(Hook::security_path_truncate, [&](Arguments& a) { a.lazily(0, [&] { return path_of(call, *facts); }); });
    enter_do_truncate();
    pass_change(call, *facts, {.valid = kAttrSize | kAttrMtime | kAttrCtime, .size = call.arg(1), .file = [&] {
                                 return file.address();
                               }});
  }
  const s64 result = co_await call.done();
  if (result == 0 && !told) enter_do_truncate();
  do_truncate.leave(result);
  do_sys_ftruncate.leave(result);
}

// utimensat, utimes, utime, futimesat: of a path.
Path setting_times(Transit& call) {
  const bool at_folder = call.number() == SYS_utimensat || call.number() == SYS_futimesat;
  const u32 first = at_folder ? 1 : 0;
  const u64 flags = call.number() == SYS_utimensat ? static_cast<u32>(call.arg(3)) : 0;
  Lookup at(call, at_folder ? call.arg(0) : kHere, call.arg(first),
            flags & AT_SYMLINK_NOFOLLOW ? Lookup::Last::kKeep : Lookup::Last::kFollow);
  OpenFile file(call, call.arg(0));
  Passing vfs_utimes;
  const bool itself = at_folder && call.arg(first) == 0;
  if (itself) call.goes_by(kOfDescriptor);
  if (!itself && at.named()) at.pass_names(true);
  if (const FileFacts* facts = itself ? file.facts() : at.target()) {
    vfs_utimes = call.enter(Hook::vfs_utimes, [&](Arguments& a) {
      a.lazily(0, [&] { return path_of(call, *facts); });
      a[1] = call.arg(first + 1) ? call.place_zeroed(2 * sizeof(timespec)) : 0;
    });
    const u32 set = call.arg(first + 1) ? kAttrAtimeSet | kAttrMtimeSet | kAttrTimesSet : kAttrTouch;
    if (!facts->mount->read_only) pass_change(call, *facts, {.valid = kAttrCtime | kAttrMtime | kAttrAtime | set});
  }
  vfs_utimes.leave(co_await call.done());
}

// kernel: xattr_permission, and what it asks behind that. Of attributes of users the file's mode is looked at first.
static void pass_attribute(Transit& call, Hook vfs, const FileFacts& file, const std::string& name) {
  const bool changes = vfs == Hook::vfs_setxattr || vfs == Hook::vfs_removexattr;
  if (changes && file.mount->read_only) return;
  if (name.starts_with("trusted.") && !pass_capable(call, CAP_SYS_ADMIN)) return;
  if (name.starts_with("user.") && !file.regular() && !file.folder()) return;
  const auto dentry = [&] { return call.services().files.dentry(file).address(); };
  const auto text = [&] { return call.services().objects.text(name); };
  const auto of_name = [&](Arguments& a) {
    a.lazily(0, dentry);
    a.lazily(1, text);
  };
  const auto in_mount = [&](Arguments& a) {
    a.lazily(0, [&] { return mount_user_namespace(call); });
    a.lazily(1, dentry);
    a.lazily(2, text);
    if (vfs == Hook::vfs_removexattr) return;
    a.lazily(3, [&] {
      const size_t size = static_cast<size_t>(std::min<u64>(call.arg(3), 512));
      const u64 value = size ? call.place_zeroed(size) : 0;
      if (value) (void)call.task().read(call.arg(2), reinterpret_cast<void*>(value), size);
      return value;
    });
    a[4] = call.arg(3);
    a[5] = static_cast<u32>(call.arg(4));
  };
  switch (vfs) {
    case Hook::vfs_setxattr: call.ask(Hook::security_inode_setxattr, in_mount); break;
    case Hook::vfs_removexattr: call.ask(Hook::security_inode_removexattr, in_mount); break;
    case Hook::vfs_getxattr: call.ask(Hook::security_inode_getxattr, of_name); break;
    default: call.ask(Hook::security_inode_listxattr, [&](Arguments& a) { a.lazily(0, dentry); });
  }
}

// [l]setxattr, [l]getxattr, [l]listxattr, [l]removexattr, and those of descriptors.
Path attributes(Transit& call) {
  const long number = call.number();
  const bool by_fd =
      number == SYS_fsetxattr || number == SYS_fgetxattr || number == SYS_flistxattr || number == SYS_fremovexattr;
  const bool keeps =
      number == SYS_lsetxattr || number == SYS_lgetxattr || number == SYS_llistxattr || number == SYS_lremovexattr;
  const Hook vfs = number == SYS_setxattr || number == SYS_lsetxattr || number == SYS_fsetxattr   ? Hook::vfs_setxattr
                   : number == SYS_getxattr || number == SYS_lgetxattr || number == SYS_fgetxattr ? Hook::vfs_getxattr
                   : number == SYS_listxattr || number == SYS_llistxattr || number == SYS_flistxattr
                       ? Hook::vfs_listxattr
                       : Hook::vfs_removexattr;
  std::optional<Lookup> at;
  std::optional<OpenFile> file;
  const FileFacts* facts = nullptr;
  if (by_fd) {
    facts = file.emplace(call, call.arg(0)).facts();
  } else {
    at.emplace(call, kHere, call.arg(0), keeps ? Lookup::Last::kKeep : Lookup::Last::kFollow);
    if (at->named()) at->pass_names(true);
    facts = at->target();
  }
  Passing passing;
  if (vfs == Hook::vfs_setxattr) call.untold(Hook::vfs_set_acl_prepare);
  const auto name = vfs == Hook::vfs_listxattr ? Result<std::string>() : call.task().read_string(call.arg(1), 255);
  if (facts && name && (vfs == Hook::vfs_listxattr || !name->empty()))
    passing = call.enter(vfs, [&](Arguments& a) {
      const u64 dentry = call.services().files.dentry(*facts).address();
      const u64 buffer =
          call.place_zeroed(static_cast<size_t>(std::min<u64>(call.arg(vfs == Hook::vfs_listxattr ? 2 : 3), 512)));
      if (vfs == Hook::vfs_listxattr) {
        a[0] = dentry, a[1] = buffer, a[2] = call.arg(2);
        return;
      }
      a.lazily(0, [&] { return mount_user_namespace(call); });
      a[1] = dentry;
      a.lazily(2, [&] { return call.services().objects.text(*name); });
      if (vfs == Hook::vfs_removexattr) return;
      a[3] = buffer, a[4] = call.arg(3);
      if (vfs == Hook::vfs_setxattr) {
        (void)call.task().read(call.arg(2), reinterpret_cast<void*>(buffer),
                               buffer ? std::min<u64>(call.arg(3), 512) : 0);
        a[5] = call.arg(4);
      }
    });
  if (facts && name) pass_attribute(call, vfs, *facts, *name);
  passing.leave(co_await call.done());
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Calls that make names in folders, take them away, or move them.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>

#include "emu/base/proc_files.h"
#include "emu/hook/capability_checks.h"
#include "emu/hook/changes.h"
#include "emu/hook/lookup.h"
#include "emu/hook/paths.h"

namespace bpfemu {

namespace {

// A path and where it counts from.
struct Named {
  u64 folder, path;
};

// dir and dentry of the vfs functions, behind the mount's user namespace.
auto in_folder(Transit& call, Lookup& at) {
  return [&call, &at](Arguments& a) {
    a.lazily(0, [&] { return mount_user_namespace(call); });
    a.lazily(1, [&] { return at.folder_inode(); });
    a.lazily(2, [&] { return at.target_dentry(); });
  };
}

// The three functions that every such call comes by: of the path, of the VFS, and what that asks the security modules.
struct Way {
  Hook call, path, vfs, inode;
};

// security_path_*(const struct path *dir, struct dentry *dentry, ...)
void pass_path_check(Transit& call, Hook hook, Lookup& at, u64 third = 0, u64 fourth = 0) {
  call.ask(hook, [&](Arguments& a) {
    a.lazily(0, [&] { return at.folder_path(); });
    a.lazily(1, [&] { return at.target_dentry(); });
    a[2] = third;
    a[3] = fourth;
  });
}

// security_inode_*(struct inode *dir, struct dentry *dentry, ...). Who may not write to the folder is refused before.
void pass_inode_check(Transit& call, Hook hook, Lookup& at, u64 third = 0, u64 fourth = 0) {
  if (call.decided(hook) && !folder_allows(call, at)) return;
  call.ask(hook, [&](Arguments& a) {
    a.lazily(0, [&] { return at.folder_inode(); });
    a.lazily(1, [&] { return at.target_dentry(); });
    a[2] = third;
    a[3] = fourth;
  });
}

// The folder can be written to: its mount is not read-only, and the name is one.
bool changeable(Lookup& at) {
  if (!at.has_last()) return false;
  const FileFacts* in = at.folder();
  return in && !in->mount->read_only;
}

bool same_file(const FileFacts* one, const FileFacts* other) {
  return one && other && one->inode.ino == other->inode.ino && one->mount->dev == other->mount->dev;
}

// Is what `outer` names the folder of `inner`'s last component, or one above it (kernel: lock_rename)?
bool holds(Lookup& outer, Lookup& inner) {
  const FileFacts *folder = outer.target(), *in = inner.folder();
  if (!folder || !in || !folder->folder() || folder->mount->id != in->mount->id) return false;
  return in->path == folder->path || in->path.starts_with(folder->path + "/");
}

// kernel: filename_create. Does the name lead nowhere, so that it can be made?
bool pass_filename_create(Transit& call, Lookup& at, const Named& named, bool folder) {
  const Passing filename_create = call.enter(Hook::filename_create, [&](Arguments& a) {
    a[0] = named.folder;
    a.lazily(1, [&] { return filename(call, at.path(), named.path); });
    a.lazily(2, [&] { return local(call, "path").address(); });
    a[3] = folder ? 2 : 0;  // LOOKUP_DIRECTORY
  });
  at.pass_names(false);
  if (at.has_last()) at.pass_last();
  const bool possible = changeable(at) && !at.exists() && (folder || !at.slash_behind());
  const s64 error = at.exists() ? -EEXIST : !possible ? -ENOENT : 0;
  filename_create.leave(error ? error : static_cast<s64>(call.awaited(Hook::filename_create) ? at.target_dentry() : 0));
  return possible;
}

void remember_gone(Transit& call, Lookup& at) {
  if (const FileFacts* in = at.folder()) (void)call.services().files.negative_dentry(*in, at.last());
}

// unlink and rmdir
Path removing(Transit& call, const Named named, const Way way) {
  Lookup at(call, named.folder, named.path, Lookup::Last::kKeep);
  Passing whole, vfs;
  bool reached = false;
  if (at.named()) {
    whole = call.enter(way.call, [&](Arguments& a) {
      a[0] = named.folder;
      a.lazily(1, [&] { return filename(call, at.path(), named.path); });
    });
    at.pass_names(false);
    if (changeable(at)) at.pass_last();
    reached = changeable(at) && at.exists() && !(way.vfs == Hook::vfs_unlink && at.slash_behind());
  }
  if (reached) {
    pass_path_check(call, way.path, at);
    vfs = call.enter(way.vfs, in_folder(call, at));
    // What may_delete() refuses is not asked about.
    const bool fits = at.target() && at.target()->folder() == (way.vfs == Hook::vfs_rmdir);
    if (fits) pass_inode_check(call, way.inode, at);
  }
  const s64 result = co_await call.done();
  if (result == 0 && reached) remember_gone(call, at);
  vfs.leave(result);
  whole.leave(result);
}

constexpr Way kUnlinking = {Hook::do_unlinkat, Hook::security_path_unlink, Hook::vfs_unlink,
                            Hook::security_inode_unlink};
constexpr Way kRmdir = {Hook::do_rmdir, Hook::security_path_rmdir, Hook::vfs_rmdir, Hook::security_inode_rmdir};

// kernel: new_decode_dev
u64 decoded_device(u64 given) {
  const u32 dev = static_cast<u32>(given);
  return kernel_device((dev & 0xfff00) >> 8, (dev & 0xff) | ((dev >> 12) & 0xfff00));
}

}  // namespace

// unlink, rmdir, unlinkat
Path removing_name(Transit& call) {
  if (call.number() != SYS_unlinkat)
    return removing(call, {kHere, call.arg(0)}, call.number() == SYS_rmdir ? kRmdir : kUnlinking);
  const u32 flags = static_cast<u32>(call.arg(2));
  if (flags & ~u32{AT_REMOVEDIR}) return {};
  return removing(call, {call.arg(0), call.arg(1)}, flags ? kRmdir : kUnlinking);
}

// mkdir, mkdirat
Path making_folder(Transit& call) {
  const bool at_folder = call.number() == SYS_mkdirat;
  const Named named = at_folder ? Named{call.arg(0), call.arg(1)} : Named{kHere, call.arg(0)};
  const u64 mode = static_cast<u16>(call.arg(at_folder ? 2 : 1));
  Lookup at(call, named.folder, named.path, Lookup::Last::kKeep);
  if (!at.named()) co_return;
  const Passing do_mkdirat = call.enter(Hook::do_mkdirat, [&](Arguments& a) {
    a[0] = named.folder;
    a.lazily(1, [&] { return filename(call, at.path(), named.path); });
    a[2] = mode;
  });
  Passing vfs_mkdir;
  if (pass_filename_create(call, at, named, true)) {
    pass_path_check(call, Hook::security_path_mkdir, at, mode);
    vfs_mkdir = call.enter(Hook::vfs_mkdir, [&](Arguments& a) {
      in_folder(call, at)(a);
      a[3] = mode;
    });
    pass_inode_check(call, Hook::security_inode_mkdir, at, mode);
  }
  const s64 result = co_await call.done();
  if (result == 0 && call.awaited(Hook::vfs_mkdir)) at.look_again();
  vfs_mkdir.leave(result);
  do_mkdirat.leave(result);
}

// mknod, mknodat
Path making_node(Transit& call) {
  const u32 first = call.number() == SYS_mknodat ? 1 : 0;
  const Named named = {first ? call.arg(0) : kHere, call.arg(first)};
  const u64 mode = static_cast<u16>(call.arg(first + 1)), kind = mode & S_IFMT,
            device = static_cast<u32>(call.arg(first + 2));
  const bool regular = kind == 0 || kind == S_IFREG, special = kind == S_IFCHR || kind == S_IFBLK;
  Lookup at(call, named.folder, named.path, Lookup::Last::kKeep);
  if (!at.named()) co_return;
  const Passing do_mknodat = call.enter(Hook::do_mknodat, [&](Arguments& a) {
    a[0] = named.folder;
    a.lazily(1, [&] { return filename(call, at.path(), named.path); });
    a[2] = mode;
    a[3] = device;
  });
  Passing vfs;
  const bool allowed = regular || special || kind == S_IFIFO || kind == S_IFSOCK;
  if (allowed && pass_filename_create(call, at, named, false)) {
    pass_path_check(call, Hook::security_path_mknod, at, mode, device);
    vfs = call.enter(regular ? Hook::vfs_create : Hook::vfs_mknod, [&](Arguments& a) {
      in_folder(call, at)(a);
      a[3] = mode;
      a[4] = regular ? 1 : special ? decoded_device(device) : 0;
    });
    const bool whiteout = kind == S_IFCHR && device == 0;
    if (special && !whiteout) pass_capable(call, CAP_MKNOD);
    pass_inode_check(call, regular ? Hook::security_inode_create : Hook::security_inode_mknod, at, mode,
                     special ? decoded_device(device) : 0);
  }
  const s64 result = co_await call.done();
  if (result == 0 && (call.awaited(Hook::vfs_create) || call.awaited(Hook::vfs_mknod))) at.look_again();
  vfs.leave(result);
  do_mknodat.leave(result);
}

void pass_socket_name(Transit& call, SocketName& name) {
  const std::string status = read_proc(call.task().tid(), "status").value_or("");
  const u64 mode = S_IFSOCK | (0777 & ~status_field(status, "Umask", 8));
  if (!pass_filename_create(call, name.at, {kHere, 0}, false)) return;
  pass_path_check(call, Hook::security_path_mknod, name.at, mode);
  name.vfs_mknod = call.enter(Hook::vfs_mknod, [&](Arguments& a) {
    in_folder(call, name.at)(a);
    a[3] = mode;
  });
  pass_inode_check(call, Hook::security_inode_mknod, name.at, mode);
}

void SocketName::leave(Transit& call, s64 result) {
  if (result == 0 && call.awaited(Hook::vfs_mknod)) at.look_again();
  vfs_mknod.leave(result);
}

// symlink, symlinkat
Path making_link(Transit& call) {
  const bool at_folder = call.number() == SYS_symlinkat;
  const Named named = at_folder ? Named{call.arg(1), call.arg(2)} : Named{kHere, call.arg(1)};
  Lookup at(call, named.folder, named.path, Lookup::Last::kKeep);
  const auto text = call.task().read_string(call.arg(0), 4096);
  if (!at.named() || !text) co_return;
  const u64 from = filename(call, *text, call.arg(0));
  const Passing do_symlinkat = call.enter(Hook::do_symlinkat, [&](Arguments& a) {
    a[0] = from;
    a[1] = named.folder;
    a.lazily(2, [&] { return filename(call, at.path(), named.path); });
  });
  Passing vfs_symlink;
  if (!text->empty() && pass_filename_create(call, at, named, false)) {
    const u64 content = from ? load<u64>(reinterpret_cast<const void*>(from)) : 0;  // filename.name is its first member
    pass_path_check(call, Hook::security_path_symlink, at, content);
    vfs_symlink = call.enter(Hook::vfs_symlink, [&](Arguments& a) {
      in_folder(call, at)(a);
      a[3] = content;
    });
    pass_inode_check(call, Hook::security_inode_symlink, at, content);
  }
  const s64 result = co_await call.done();
  if (result == 0 && call.awaited(Hook::vfs_symlink)) at.look_again();
  vfs_symlink.leave(result);
  do_symlinkat.leave(result);
}

// link, linkat
Path linking(Transit& call) {
  const bool at_folder = call.number() == SYS_linkat;
  const Named old_name = at_folder ? Named{call.arg(0), call.arg(1)} : Named{kHere, call.arg(0)};
  const Named new_name = at_folder ? Named{call.arg(2), call.arg(3)} : Named{kHere, call.arg(1)};
  const u32 flags = at_folder ? static_cast<u32>(call.arg(4)) : 0;
  Lookup from(call, old_name.folder, old_name.path,
              flags & AT_SYMLINK_FOLLOW ? Lookup::Last::kFollow : Lookup::Last::kKeep);
  Lookup to(call, new_name.folder, new_name.path, Lookup::Last::kKeep);
  const Passing do_linkat = call.enter(Hook::do_linkat, [&](Arguments& a) {
    a[0] = old_name.folder;
    a.lazily(1, [&] { return filename(call, from.path(), old_name.path); });
    a[2] = new_name.folder;
    a.lazily(3, [&] { return filename(call, to.path(), new_name.path); });
    a[4] = flags;
  });
  Passing vfs_link;
  if (from.named()) from.pass_names(true);
  if (from.exists() && to.named() && pass_filename_create(call, to, new_name, false) && from.target() &&
      from.target()->mount->id == to.folder()->mount->id) {
    call.ask(Hook::security_path_link, [&](Arguments& a) {
      a.lazily(0, [&] { return from.target_dentry(); });
      a.lazily(1, [&] { return to.folder_path(); });
      a.lazily(2, [&] { return to.target_dentry(); });
    });
    vfs_link = call.enter(Hook::vfs_link, [&](Arguments& a) {
      a.lazily(0, [&] { return from.target_dentry(); });
      a.lazily(1, [&] { return mount_user_namespace(call); });
      a.lazily(2, [&] { return to.folder_inode(); });
      a.lazily(3, [&] { return to.target_dentry(); });
    });
    if (!call.decided(Hook::security_inode_link) || folder_allows(call, to))
      call.ask(Hook::security_inode_link, [&](Arguments& a) {
        a.lazily(0, [&] { return from.target_dentry(); });
        a.lazily(1, [&] { return to.folder_inode(); });
        a.lazily(2, [&] { return to.target_dentry(); });
      });
  }
  const s64 result = co_await call.done();
  if (result == 0 && call.awaited(Hook::vfs_link)) from.look_again(), to.look_again();
  vfs_link.leave(result);
  do_linkat.leave(result);
}

// rename, renameat, renameat2
Path renaming(Transit& call) {
  const bool plain = call.number() == SYS_rename;
  const Named old_name = plain ? Named{kHere, call.arg(0)} : Named{call.arg(0), call.arg(1)};
  const Named new_name = plain ? Named{kHere, call.arg(1)} : Named{call.arg(2), call.arg(3)};
  const u32 flags = call.number() == SYS_renameat2 ? static_cast<u32>(call.arg(4)) : 0;
  Lookup from(call, old_name.folder, old_name.path, Lookup::Last::kKeep);
  Lookup to(call, new_name.folder, new_name.path, Lookup::Last::kKeep);
  const Passing do_renameat2 = call.enter(Hook::do_renameat2, [&](Arguments& a) {
    a[0] = old_name.folder;
    a.lazily(1, [&] { return filename(call, from.path(), old_name.path); });
    a[2] = new_name.folder;
    a.lazily(3, [&] { return filename(call, to.path(), new_name.path); });
    a[4] = flags;
  });
  bool reached = false;
  if (from.named()) from.pass_names(false);
  if (to.named()) to.pass_names(false);
  if (changeable(from) && to.has_last() && to.folder() && from.folder()->mount->id == to.folder()->mount->id) {
    from.pass_last();
    if (from.exists()) to.pass_last();
    const bool exchange = flags & RENAME_EXCHANGE, taken = flags & RENAME_NOREPLACE;
    reached = from.exists() && !(taken && to.exists()) && !(exchange && !to.exists()) &&
              !holds(from, to) && !(to.exists() && holds(to, from));
  }
  Passing vfs_rename;
  if (reached) {
    auto dentries = [&](Lookup& one, Lookup& other, auto folder_of) {
      return [&, folder_of](Arguments& a) {
        a.lazily(0, [&] { return folder_of(one); });
        a.lazily(1, [&] { return one.target_dentry(); });
        a.lazily(2, [&] { return folder_of(other); });
        a.lazily(3, [&] { return other.target_dentry(); });
        a[4] = flags;
      };
    };
    auto inode = [](Lookup& at) { return at.folder_inode(); };
    call.ask(Hook::security_path_rename, dentries(from, to, [](Lookup& at) { return at.folder_path(); }));
    vfs_rename = call.enter(Hook::vfs_rename, [&](Arguments& a) {
      a.lazily(0, [&] {
        const KernelObject renamed = local(call, "renamedata");
        renamed.set("old_mnt_userns", mount_user_namespace(call));
        renamed.set("old_dir", from.folder_inode());
        renamed.set("old_dentry", from.target_dentry());
        renamed.set("new_mnt_userns", mount_user_namespace(call));
        renamed.set("new_dir", to.folder_inode());
        renamed.set("new_dentry", to.target_dentry());
        renamed.set("flags", flags);
        return renamed.address();
      });
    });
    // Modules are asked about both ways of an exchange, and not about two names of one file, which are left as they
    // are.
    const bool allowed =
        !call.decided(Hook::security_inode_rename) || (folder_allows(call, from) && folder_allows(call, to));
    if (allowed && !same_file(from.target(), to.target())) {
      if (flags & RENAME_EXCHANGE)
        call.ask(Hook::security_inode_rename, dentries(from, to, inode), dentries(to, from, inode),
                 dentries(from, to, inode));
      else
        call.ask(Hook::security_inode_rename, dentries(from, to, inode));
    }
  }
  const s64 result = co_await call.done();
  if (result == 0 && reached) {
    FileObjects& files = call.services().files;
    if (flags & RENAME_EXCHANGE) files.exchanged(*from.folder(), from.last(), *to.folder(), to.last());
    else files.renamed(*from.folder(), from.last(), *to.folder(), to.last());
  }
  vfs_rename.leave(result);
  do_renameat2.leave(result);
}

}  // namespace bpfemu

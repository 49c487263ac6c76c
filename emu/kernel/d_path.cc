// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/d_path.h"

#include <fmt/format.h>
#include <linux/magic.h>

#include <climits>
#include <cstring>

namespace bpfemu {

namespace {

constexpr u32 kMostSteps = 4096;  // PATH_MAX / 2 names, and mounts between them

// Members of the model's objects, read as long as they are there.
class Reader {
 public:
  Reader(const Arena& arena, ObjectSpace& space) : arena_(arena), space_(space) {}

  // 0 beyond the model's objects, as for what nobody filled in.
  template <class T = u64>
  T get(u64 object, std::string_view structure, std::string_view member) const {
    const auto offset = space_.structure(structure).offset(member);
    if (!object || !offset || !arena_.contains(object + *offset, sizeof(T))) return 0;
    return load<T>(reinterpret_cast<const void*>(object + *offset));
  }
  std::string name(u64 dentry) const {
    const u64 text = get(dentry, "dentry", "d_name.name");
    const u32 length = std::min<u32>(get<u32>(dentry, "dentry", "d_name.len"), NAME_MAX);
    if (!text || !arena_.contains(text, length)) return {};
    return std::string(reinterpret_cast<const char*>(text), length);
  }
  u64 mount_of(u64 vfsmount) const {
    const auto offset = space_.structure("mount").offset("mnt");
    return offset && vfsmount ? vfsmount - *offset : 0;
  }
  u64 vfsmount_of(u64 mount) const { return KernelObject(mount, space_.structure("mount")).address("mnt"); }

 private:
  const Arena& arena_;
  ObjectSpace& space_;
};

// What has no path has a text of its own (kernel: d_dname); none: it has a path.
std::optional<std::string> made_up(const Reader& read, u64 dentry) {
  const u64 inode = read.get(dentry, "dentry", "d_inode");
  const u64 magic = read.get(read.get(dentry, "dentry", "d_sb"), "super_block", "s_magic");
  const u64 ino = read.get(inode, "inode", "i_ino");
  if (magic == PIPEFS_MAGIC) return fmt::format("pipe:[{}]", ino);
  if (magic == SOCKFS_MAGIC) return fmt::format("socket:[{}]", ino);
  if (magic == ANON_INODE_FS_MAGIC) return "anon_inode:" + read.name(dentry);
  const std::string name = read.name(dentry);
  if (magic == TMPFS_MAGIC && name.starts_with("memfd:")) return fmt::format("/{} (deleted)", name);
  return std::nullopt;
}

}  // namespace

Result<std::string> d_path(const Arena& arena, ObjectSpace& space, u64 path) {
  const Reader read(arena, space);
  u64 vfsmount = read.get(path, "path", "mnt"), dentry = read.get(path, "path", "dentry");
  if (!vfsmount || !dentry) return fail(EFAULT);
  if (auto text = made_up(read, dentry)) return *text;
  const bool unlinked = read.get(dentry, "dentry", "d_hash.pprev") == 0 && read.get(dentry, "dentry", "d_parent") != dentry;
  std::string text;
  for (u32 step = 0; step < kMostSteps && text.size() < PATH_MAX; ++step) {
    if (dentry == read.get(vfsmount, "vfsmount", "mnt_root")) {
      const u64 mount = read.mount_of(vfsmount), parent = read.get(mount, "mount", "mnt_parent");
      if (!parent) return fail(EFAULT);
      if (parent == mount) return (text.empty() ? "/" : text) + (unlinked ? " (deleted)" : "");
      dentry = read.get(mount, "mount", "mnt_mountpoint");
      vfsmount = read.vfsmount_of(parent);
      continue;
    }
    const u64 parent = read.get(dentry, "dentry", "d_parent");
    if (!parent || parent == dentry) return fail(EFAULT);
    text = "/" + read.name(dentry) + text;
    dentry = parent;
  }
  return fail(ENAMETOOLONG);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Files as the kernel's own structs: file, path, dentry, inode, super_block, mount. A dentry is found again by its
// parent and its name, as in the kernel's cache of them, an inode by its device and number, a file by who has it open
// as which descriptor. What these structs have beyond what FileFacts tells is null.
#pragma once

#include <functional>
#include <string_view>

#include "emu/kernel/file_facts.h"
#include "emu/kernel/object_space.h"

namespace bpfemu {

class FileObjects {
 public:
  // The claimed kernel's address of an object like "ext4_file_operations"; 0: there is none.
  using AddressOf = std::function<u64(std::string_view symbol)>;
  FileObjects(ObjectSpace& space, const Mounts& mounts, AddressOf address_of)
      : space_(space), mounts_(mounts), address_of_(std::move(address_of)) {}

  // The struct socket behind a descriptor of a process, 0: nobody may look; unset: sockets are not known.
  std::function<u64(pid_t tgid, int fd)> socket_of;

  // struct file, with what hangs on it.
  KernelObject file(const FileFacts& file);
  // The same while it is about to be opened (f_flags and f_mode are what was asked for), or when it is asked whether it
  // may be (kernel: do_dentry_open). Was it created for that?
  enum class Opening : u8 { kBegins, kChecked };
  KernelObject file_to_open(const FileFacts& file, u32 flags, bool created, Opening state);
  // struct files_struct of a process.
  KernelObject open_files(pid_t tgid);
  KernelObject dentry(const FileFacts& file);
  // A name in a folder that leads nowhere (kernel: d_is_negative); and whether it was known to lead nowhere before.
  KernelObject negative_dentry(const FileFacts& folder, std::string_view name, bool* known = nullptr);
  KernelObject inode(const FileFacts& file);
  // struct path, for whatever `identity` says.
  KernelObject path(const FileFacts& file, std::string_view identity);
  // The same as members of `object`, the struct path's two.
  void set_path(const KernelObject& object, const char* mnt, const char* dentry, const FileFacts& file);
  KernelObject super_block(const MountFacts& mount);
  // struct mount; what the rest of the kernel points to is its member mnt, a struct vfsmount.
  KernelObject mount(const MountFacts& mount) { return mount_of(mount, 0); }

  // The name has become another one, and the dentry with it (kernel: d_move).
  void renamed(const FileFacts& folder, std::string_view name, const FileFacts& new_folder, std::string_view new_name);
  // The two names have changed places (kernel: d_exchange).
  void exchanged(const FileFacts& folder, std::string_view name, const FileFacts& new_folder, std::string_view new_name);

 private:
  KernelObject root_of(const MountFacts& mount);
  KernelObject child(const MountFacts& mount, const KernelObject& parent, std::string_view name, bool* is_new);
  KernelObject dentry_at(const MountFacts& mount, std::string_view path, const std::optional<InodeFacts>& inode);
  KernelObject internal_dentry(const FileFacts& file);
  KernelObject deleted_dentry(const FileFacts& file);
  KernelObject inode_of(const MountFacts& mount, const InodeFacts& facts);
  KernelObject mount_of(const MountFacts& mount, u32 depth);
  u64 operations(std::string_view symbol);
  void set_name(const KernelObject& dentry, u64 parent, std::string_view name);
  void set_inode(const KernelObject& dentry, const MountFacts& mount, const std::optional<InodeFacts>& inode);

  ObjectSpace& space_;
  const Mounts& mounts_;
  AddressOf address_of_;
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// The synthetic file tree: tracefs, sysfs, procfs, bpffs and cgroup2 as the tools see them.
//
// The tree overlays the host's: a path of which no part is ours is the host's business, and so is what a host folder
// holds beside our entries. namei.h walks through both.
#pragma once

#include <sys/stat.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emu/vfs/node.h"
#include "emu/vfs/permission.h"
#include "emu/vfs/world.h"

namespace bpfemu {

// Where a path leads.
struct Found {
  enum class Where : u8 {
    kHost,       // nothing of ours: the call runs natively, on the path as it is
    kElsewhere,  // natively too, but on `path`: the way there led through folders or links of ours
    kOurs,       // `node`; `path` is its path without links
  };
  Where where = Where::kHost;
  NodePtr node = {};
  std::string path = {};
  bool magic = false;  // a link of /proc, in the last place and not followed; `node` has its text

  bool ours() const { return where == Where::kOurs; }
  Directory* directory() const {
    return node && node->kind() == Node::Kind::kDirectory ? static_cast<Directory*>(node.get()) : nullptr;
  }
  FileNode* file() const {
    return node && node->kind() == Node::Kind::kFile ? static_cast<FileNode*>(node.get()) : nullptr;
  }
  LinkNode* link() const {
    return node && node->kind() == Node::Kind::kLink ? static_cast<LinkNode*>(node.get()) : nullptr;
  }
  PinNode* pin() const {
    return node && node->kind() == Node::Kind::kPin ? static_cast<PinNode*>(node.get()) : nullptr;
  }
  bool anonymous() const { return node && node->kind() == Node::Kind::kAnonymous; }
};

// Where an entry is, or would be made.
struct Parent {
  enum class Last : u8 { kName, kDot, kDotDot, kRoot };
  Found folder = {};     // not ours: `path` is that of the host's folder
  NodePtr overlay = {};  // what of a host's folder is ours
  std::string name = {};
  Last last = Last::kName;
  bool slash = false;    // one or more after the name: it must be a folder
  bool missing = false;  // the host's folder is not there, as far as can be seen

  std::string path() const;
  // The entry when it is one of ours, also one in a folder of the host: ENOENT.
  Result<Found> entry() const;
};

// What tools change of a node: chmod, chown, utimensat.
struct Attributes {
  u32 mode, uid, gid;
  Times times;
};
struct AttributeChange {
  std::optional<u32> mode = {}, uid = {}, gid = {};
  std::optional<timespec> access = {}, modification = {};
  bool needs_owner = true;  // false: setting both times to now, for which W_OK does
};

class Vfs {
 public:
  // Mounts the file systems of the claimed kernel. `world` must outlive it.
  explicit Vfs(VfsWorld& world);
  ~Vfs();

  // Can the path be ours at all? A cheap look at its start, so that most calls go on at once.
  bool concerns(std::string_view path) const;
  // The paths below which it does, and a number that changes with them.
  std::vector<std::string> entrances() const;
  u64 revision() const { return revision_; }
  // The node at a path without links: null where the host has its own.
  NodePtr at(std::string_view path) const;
  // The file system that the folder at a path belongs to, for EXDEV and EBUSY: the longest mount point above it.
  std::string_view mount_of(std::string_view path) const;
  bool is_mount(std::string_view path) const { return mount_of(path) == path; }

  Attributes attributes(const Found& found) const;
  Ownership ownership(const Found& found) const;
  Result<void> permits(const Credentials& who, const Found& found, int mask) const;
  // EPERM, EACCES (kernel: notify_change).
  Result<void> change(const Credentials& who, const Found& found, const AttributeChange& change);
  void stat(const Found& found, struct stat& st) const;
  // What stat says of an entry, for listings.
  u64 inode(const Found& folder, std::string_view name) const;
  // The number of the mount that a place of ours is in, as mountinfo has it.
  int mount_number(std::string_view path) const;
  // The mounts of ours that /proc/mounts shows: folder and type.
  std::vector<std::pair<std::string, const FileSystemType*>> mounts() const;

  // Opens a file node: checks permission (EACCES), EISDIR, EIO for pins, then FileNode::open.
  Result<Opened> open(const Credentials& who, const Found& found, Task* task, int flags);

  // The calls that change a tree; callers have found the folder to be ours. EEXIST, ENOENT, EPERM, EACCES, ENOTEMPTY,
  // EBUSY, EXDEV, ...
  Result<void> mkdir(const Credentials& who, const Parent& at, u32 mode);
  Result<void> symlink(const Credentials& who, std::string_view target, const Parent& at);
  Result<void> mknod(const Credentials& who, const Parent& at, u32 mode);
  Result<void> link(const Credentials& who, const Found& what, const Parent& at);
  Result<void> unlink(const Credentials& who, const Parent& at);
  Result<void> rmdir(const Credentials& who, const Parent& at);
  Result<void> rename(const Credentials& who, const Parent& from, const Parent& to, u32 flags);
  // mount(2) of "bpf", "tracefs", "debugfs" or "cgroup2" over a folder: ENODEV for other types. umount(2) of what was so mounted: EINVAL.
  Result<void> mount(std::string_view type, const Found& folder, std::string_view root = {});
  Result<void> umount(const Found& folder, std::string_view root = {});

  // BPF_OBJ_PIN: EEXIST; EPERM: not on a bpffs (kernel: bpf_obj_do_pin).
  Result<void> pin(const Credentials& who, const Parent& at, std::shared_ptr<Object> object);
  // BPF_OBJ_GET: EACCES (kernel: bpf_obj_do_get).
  Result<std::shared_ptr<Object>> pinned(const Credentials& who, const Found& found, int access_mask) const;

  // For the files that build the tree: hangs `node` at `path`, making folders on the way, overlays where the host has
  // one. A null node hides what the host has there.
  void place(std::string_view path, NodePtr node);
  // The same for a file system, which is listed among the mounts. `of_host`: the host has one mounted there.
  void cover(const std::string& path, NodePtr node, bool of_host);
  // The root of one more bpffs.
  NodePtr new_bpffs();
  VfsWorld& world() const { return world_; }

 private:
  struct Mounted {
    std::string path;  // as the tree calls it
    NodePtr covered;   // what the tree had there
    bool of_host;      // it stays, or the host's would be seen
  };
  Result<void> may_create(const Credentials& who, const Parent& at, bool folder) const;
  Result<Found> may_delete(const Credentials& who, const Parent& at, bool folder) const;
  Result<void> insert(const Credentials& who, const Parent& at, NodePtr node);
  Result<void> remove(const Credentials& who, const Parent& at, bool folder);

  VfsWorld& world_;
  std::shared_ptr<Directory> root_;
  std::vector<std::unique_ptr<FileSystemType>> instances_;  // of bpffs: each has a number of its own
  u64 revision_ = 1;
  std::vector<Mounted> mounts_;  // what mount() put elsewhere than under the usual folders, in order
  std::map<std::string, Attributes, std::less<>> changed_;  // by path, of nodes that are made when they are asked for
  timespec started_;
  u64 last_inode_ = 1;
};

}  // namespace bpfemu

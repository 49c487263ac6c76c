// SPDX-License-Identifier: Apache-2.0
// The synthetic file tree: tracefs, sysfs, procfs and bpffs as the tools see them. A node is asked for its content when
// it is opened; nothing is kept on disk. Paths are absolute and lexically normalised ("/sys/kernel/tracing/events").
//
// The tree overlays the host's: a path of which no part is ours is the host's business, and so is what a host folder
// holds beside our entries.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/fd.h"
#include "emu/base/object.h"
#include "emu/base/result.h"
#include "emu/ports/task.h"
#include "emu/vfs/world.h"

namespace bpfemu {

// What statfs and st_dev show of a node's file system.
struct FileSystemType {
  const char* name;  // "tracefs", as in /proc/mounts
  u64 magic;         // statfs f_type
  u32 minor;         // st_dev is 0:minor
};
extern const FileSystemType kTracefs, kDebugfs, kSysfs, kProcfs, kBpffs, kSecurityfs;

struct DirEntry {
  std::string name;
  u8 type;  // DT_DIR, DT_REG, DT_LNK
};

class Node {
 public:
  enum class Kind : u8 { kDirectory, kFile, kLink, kPin };
  Node(Kind kind, u32 mode, const FileSystemType& type) : mode(mode), type(&type), kind_(kind) {}
  virtual ~Node() = default;
  Kind kind() const { return kind_; }
  u8 entry_type() const;                  // DT_*
  virtual u64 size() const { return 0; }  // st_size; for a link the length of its target

  u32 mode;  // permission bits
  u32 uid = 0, gid = 0;
  u64 ino = 0;  // 0: derived from the path
  const FileSystemType* type;

 private:
  Kind kind_;
};
using NodePtr = std::shared_ptr<Node>;

// What opening a file gives.
struct Opened {
  // An open file for the task itself, read natively: a memfd with the content (reopened, with an offset of its own) or
  // the read end of a pipe.
  UniqueFd fd;
  // Writes must come to FileNode::write.
  bool writes = false;
};

class FileNode : public Node {
 public:
  FileNode(u32 mode, const FileSystemType& type) : Node(Kind::kFile, mode, type) {}
  // The text that a reader gets. `task` is who opens it; null when the model itself asks.
  virtual Result<std::string> read(Task* task) = 0;
  // One write(2) to it: the number of bytes taken.
  virtual Result<u64> write(Task* task, std::string_view data);
  // `flags` of open(2), O_TRUNC included. Permission has been checked. The default: a memfd of read().
  virtual Result<Opened> open(Task* task, int flags);
};

// A file made from functions: what most of the tree consists of.
class TextFile : public FileNode {
 public:
  using Reader = std::function<std::string()>;
  using Writer = std::function<Result<void>(std::string_view)>;
  TextFile(u32 mode, const FileSystemType& type, Reader reader, Writer writer = {})
      : FileNode(mode, type), reader_(std::move(reader)), writer_(std::move(writer)) {}
  u64 size() const override;
  Result<std::string> read(Task*) override { return reader_ ? reader_() : std::string(); }
  Result<u64> write(Task* task, std::string_view data) override;

 private:
  Reader reader_;
  Writer writer_;
};

class Directory : public Node {
 public:
  Directory(u32 mode, const FileSystemType& type) : Node(Kind::kDirectory, mode, type) {}
  // ENOENT: no such entry.
  virtual Result<NodePtr> child(std::string_view name);
  // Without "." and "..".
  virtual std::vector<DirEntry> list();
  // Is the rest of it the host's? Then a path to the folder itself or to an unknown entry is native.
  virtual bool overlay() const { return false; }

  // Can entries be made and removed by tools (bpffs)? EPERM otherwise.
  virtual bool writable() const { return false; }
  bool empty() const { return entries_.empty(); }

  void add(std::string name, NodePtr node) { entries_[std::move(name)] = std::move(node); }
  void drop(std::string_view name) {
    if (auto it = entries_.find(name); it != entries_.end()) entries_.erase(it);
  }
  void add_text(std::string name, u32 mode, TextFile::Reader reader, TextFile::Writer writer = {});
  // Makes a plain folder below.
  std::shared_ptr<Directory> add_folder(std::string name, u32 mode);

 protected:
  std::map<std::string, NodePtr, std::less<>> entries_;
};

class LinkNode : public Node {
 public:
  LinkNode(std::string target, const FileSystemType& type)
      : Node(Kind::kLink, 0777, type), target_(std::move(target)) {}
  const std::string& target() const { return target_; }
  u64 size() const override { return target_.size(); }

 private:
  std::string target_;
};

// A file of bpffs that stands for an object. open(2) of one is EIO, as in the kernel, but for maps with BTF and
// iterators.
class PinNode : public Node {
 public:
  PinNode(u32 mode, std::shared_ptr<Object> object) : Node(Kind::kPin, mode, kBpffs), object_(std::move(object)) {}
  const std::shared_ptr<Object>& object() const { return object_; }

 private:
  std::shared_ptr<Object> object_;
};

// Where a path leads.
struct Found {
  enum class Where : u8 {
    kHost,       // nothing of ours: the call runs natively, on the path as it is
    kElsewhere,  // natively too, but on `path`: a folder of the host that stands for it
    kOurs,       // `node`; `path` is its path without links
  };
  Where where = Where::kHost;
  NodePtr node;
  std::string path;

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
};

class Vfs {
 public:
  // Mounts the file systems of the claimed kernel. `world` must outlive it.
  explicit Vfs(VfsWorld& world);
  ~Vfs();

  // Can the path be ours at all? A cheap look at its start, so that most calls go on at once.
  bool concerns(std::string_view path) const;

  // ENOENT: below one of our folders and not there; ENOTDIR, ELOOP; EACCES: not searchable for the looking user.
  // `follow`: a link in the last place is followed.
  Result<Found> lookup(std::string_view path, bool follow = true);

  // May the user that tools appear as do `mask` (R_OK, W_OK, X_OK) on it? EACCES.
  Result<void> permits(const Node& node, int mask) const;
  void stat(const Found& found, struct stat& st) const;
  // The mounts of ours that /proc/mounts shows: folder and type.
  std::vector<std::pair<std::string, const FileSystemType*>> mounts() const;

  // Opens a file node: checks permission (EACCES), EISDIR, EIO for pins, then FileNode::open.
  Result<Opened> open(const Found& found, Task* task, int flags);

  // The calls that change a tree; callers have found the folder to be ours. EEXIST, ENOENT, EPERM, ENOTEMPTY, EXDEV,
  // ...
  Result<void> mkdir(std::string_view path, u32 mode);
  Result<void> unlink(std::string_view path);
  Result<void> rmdir(std::string_view path);
  Result<void> rename(std::string_view from, std::string_view to, u32 flags);
  Result<void> symlink(std::string_view target, std::string_view path);
  // mount(2) of "bpf", "tracefs" or "debugfs" over a folder: ENODEV for other types.
  Result<void> mount(std::string_view type, std::string_view path);

  // BPF_OBJ_PIN: EEXIST; EPERM: not on a bpffs (kernel: bpf_obj_do_pin).
  Result<void> pin(std::string_view path, std::shared_ptr<Object> object);
  // BPF_OBJ_GET: ENOENT, EACCES (kernel: bpf_obj_do_get).
  Result<std::shared_ptr<Object>> pinned(std::string_view path, int access_mask);

  // For the files that build the tree: hangs `node` at `path`, making folders on the way, overlays where the host has
  // one. A null node hides what the host has there.
  void place(std::string_view path, NodePtr node);
  VfsWorld& world() const { return world_; }

 private:
  struct Parent {
    std::shared_ptr<Directory> directory;
    std::string name;
  };
  Result<Parent> parent_of(std::string_view path);
  Result<void> insert(std::string_view path, const std::function<NodePtr()>& make);
  Result<void> remove(std::string_view path, bool directory);

  VfsWorld& world_;
  std::shared_ptr<Directory> root_;
  std::vector<std::string> mounts_;  // what mount() put elsewhere than under the usual folders
  time_t started_;
  u64 last_inode_ = 1;
};

// A memfd with `content`, sealed; reopen it for each opener.
Result<UniqueFd> content_fd(std::string_view name, std::string_view content);
// A fresh description of `fd`'s file, read-only unless `access` (O_WRONLY, O_RDWR) says otherwise.
Result<UniqueFd> reopen(int fd, int access = 0);

}  // namespace bpfemu

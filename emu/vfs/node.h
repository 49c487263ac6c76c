// SPDX-License-Identifier: Apache-2.0
// What the synthetic file tree consists of. A node is asked for its content when it is opened; nothing is kept on disk.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/fd.h"
#include "emu/base/result.h"
#include "emu/base/object.h"
#include "emu/ports/task.h"

namespace bpfemu {

// What statfs and st_dev show of a node's file system.
struct FileSystemType {
  const char* name;  // "tracefs", as in /proc/mounts
  u64 magic;         // statfs f_type
  u32 minor;         // st_dev is 0:minor
};
extern const FileSystemType kTracefs, kDebugfs, kSysfs, kProcfs, kBpffs, kSecurityfs, kCgroup2;

struct Times {
  timespec access{}, modification{}, change{};
};

struct DirEntry {
  std::string name;
  u8 type;  // DT_DIR, DT_REG, DT_LNK
};

class Node {
 public:
  enum class Kind : u8 { kDirectory, kFile, kLink, kPin, kAnonymous };
  Node(Kind kind, u32 mode, const FileSystemType& type) : mode(mode), type(&type), kind_(kind) {}
  virtual ~Node() = default;
  Kind kind() const { return kind_; }
  u8 entry_type() const;                  // DT_*
  virtual u64 size() const { return 0; }  // st_size; for a link the length of its target

  u32 mode;  // permission bits
  u32 uid = 0, gid = 0;
  u32 links = 1;  // names that it has; a folder's are counted when asked. 0: removed, though somebody may be in it
  u64 ino = 0;    // 0: derived from the path, and so is what tools change of it (Vfs::attributes)
  Times times;    // zero: since the kernel started
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
  // Does each read have to be asked for? Then it gives what read_at() says, from `position` of the file.
  virtual bool asks_reads() const { return false; }
  virtual Result<std::string> read_at(Task& task, u64& /*position*/) { return read(&task); }
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
  // Is that in the kernel's order? Otherwise names are sorted for readers.
  virtual bool ordered() const { return false; }
  // Is the rest of it the host's? Then a path to the folder itself or to an unknown entry is native.
  virtual bool overlay() const { return false; }

  // Can tools make and remove entries of any kind (bpffs)? EPERM otherwise.
  virtual bool writable() const { return false; }
  // mkdir(2) and rmdir(2) of an entry; EPERM where tools cannot.
  virtual Result<NodePtr> make_folder(const std::string& /*name*/, u32 /*mode*/, u32 /*uid*/, u32 /*gid*/) {
    return fail(EPERM);
  }
  virtual Result<void> remove_folder(const std::string& name, Directory& folder);
  bool empty() const { return entries_.empty(); }

  void add(std::string name, NodePtr node) { entries_[std::move(name)] = {std::move(node), ++additions_}; }
  void drop(std::string_view name) {
    if (auto it = entries_.find(name); it != entries_.end()) entries_.erase(it);
  }
  void add_text(std::string name, u32 mode, TextFile::Reader reader, TextFile::Writer writer = {});
  // Makes a plain folder below.
  std::shared_ptr<Directory> add_folder(std::string name, u32 mode);

 protected:
  struct Entry {
    NodePtr node;
    u64 added = 0;  // the how manyth it was to be added
  };
  std::map<std::string, Entry, std::less<>> entries_;

 private:
  u64 additions_ = 0;
};

// A folder of a file system that keeps names in memory alone: what was made or moved here last comes first (kernel:
// dcache_readdir).
class NewestFirstFolder : public Directory {
 public:
  using Directory::Directory;
  bool ordered() const override { return true; }
  std::vector<DirEntry> list() override;
};

class LinkNode : public Node {
 public:
  LinkNode(std::string target, const FileSystemType& type)
      : Node(Kind::kLink, 0777, type), target_(std::move(target)) {}
  const std::string& target() const { return target_; }
  u64 size() const override;

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

// Something that is open but has no place in the tree, as a bpf object's descriptor: where /proc/PID/fd/N leads.
class AnonymousNode : public Node {
 public:
  explicit AnonymousNode(const FileSystemType& type) : Node(Kind::kAnonymous, 0600, type) {}
};

// A memfd with `content`, sealed; reopen it for each opener.
Result<UniqueFd> content_fd(std::string_view name, std::string_view content);
// A fresh description of `fd`'s file, read-only unless `access` (O_WRONLY, O_RDWR) says otherwise.
Result<UniqueFd> reopen(int fd, int access = 0);

}  // namespace bpfemu

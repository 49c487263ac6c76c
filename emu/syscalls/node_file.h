// SPDX-License-Identifier: Apache-2.0
// An open file or folder of the synthetic tree. What the task holds is a file of the kernel's, so most calls on it need no
// answer: a memfd with the content, the end of a pipe, or, for folders and O_PATH, something that was removed as soon as
// it was opened and that shows who it is by its inode.
#pragma once

#include "emu/syscalls/call.h"
#include "emu/syscalls/files.h"
#include "emu/vfs/vfs.h"

namespace bpfemu {

class NodeFile : public File {
 public:
  NodeFile(Vfs& vfs, Found found, bool path_only = false, bool writes = false)
      : vfs_(vfs), found_(std::move(found)), path_only_(path_only), writes_(writes) {}
  std::string link_name() const override;
  void stat(struct stat& st) const override { vfs_.stat(found_, st); }
  u64 fs_magic() const override { return found_.node->type->magic; }
  NodeFile* node() override { return this; }
  bool is_native() const override { return true; }
  bool takes_writes() const override { return writes_; }
  std::vector<TraceWhen> stops() const override;
  Result<u64> write(System& system, Task& task, std::string_view data) override;

  const Found& found() const { return found_; }
  bool path_only() const { return path_only_; }
  // The folder above was renamed.
  void moved(const std::string& from, const std::string& to);

 protected:
  Vfs& vfs_;
  Found found_;

 private:
  bool path_only_, writes_;
};

// What getdents64 works on.
class DirectoryFile : public NodeFile {
 public:
  DirectoryFile(Vfs& vfs, Found found);
  DirectoryFile* directory() override { return this; }

  // Fills `size` bytes with linux_dirent64 records from where the last call ended: bytes used, 0 at the end, EINVAL when
  // not even one fits.
  Result<std::vector<u8>> read(size_t size);
  // The new position: EINVAL.
  Result<u64> seek(s64 offset, u32 whence);

 private:
  void list();

  std::vector<DirEntry> entries_;  // as they were when it was last at its start, "." and ".." first
  size_t position_ = 0;
};

// Gives the task a descriptor: of a folder to read, or with O_PATH of anything. ENOMEM: there is no place for it.
Result<int> install_folder(System& system, Task& task, const Found& found, int flags);
Result<int> install_path_only(System& system, Task& task, const Found& found, int flags);
// Opens a place of ours, with the flags of open(2) (open.cc).
Result<u64> open_place(System& system, Call& call, const Found& found, int flags);
// Makes the folder the task's current one (kernel: set_fs_pwd).
Result<void> enter_folder(System& system, Task& task, const Found& found);
// The folder of ours that the task is in.
std::optional<Found> current_folder(System& system, Task& task);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// An open folder of the synthetic tree: what getdents64 and openat relative to it work on.
#pragma once

#include "emu/syscalls/files.h"
#include "emu/vfs/vfs.h"

namespace bpfemu {

class DirectoryFile : public File {
 public:
  DirectoryFile(Vfs& vfs, Found found, u32 flags);
  std::string link_name() const override { return found_.path; }
  void stat(struct stat& st) const override { vfs_.stat(found_, st); }
  u64 fs_magic() const override { return found_.node->type->magic; }
  DirectoryFile* directory() override { return this; }

  const std::string& path() const { return found_.path; }
  // Fills `size` bytes with linux_dirent64 records from where the last call ended: bytes used, 0 at the end, EINVAL when
  // not even one fits.
  Result<std::vector<u8>> read(size_t size);
  void rewind() { position_ = 0; }

 private:
  Vfs& vfs_;
  Found found_;
  std::vector<DirEntry> entries_;  // as they were when it was opened, "." and ".." first
  size_t position_ = 0;
};

}  // namespace bpfemu

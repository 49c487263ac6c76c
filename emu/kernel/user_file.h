// SPDX-License-Identifier: Apache-2.0
// A file as uprobes mean it: the inode behind a path, whatever becomes of the name (kernel: kern_path, d_real_inode).
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "emu/base/fd.h"
#include "emu/ports/task.h"

namespace bpfemu {

class UserFile {
 public:
  // The thread itself looks the path up, for only in its own view do roots, working folders, mounts and /proc/self mean
  // what it means by them. `path` lies in its memory. EINVAL: not a regular file; errors of open().
  static Result<std::shared_ptr<const UserFile>> open(Task& task, u64 path);
  static Result<std::shared_ptr<const UserFile>> open(Task& task, std::string_view path);

  // As /proc/PID/maps shows it, which is not what stat() says on btrfs and overlayfs.
  FileId id() const { return id_; }
  // EINVAL: outside the file; EIO: its pages cannot be probed (kernel: __uprobe_register).
  Result<void> check_offset(u64 offset) const;
  // Up to `size` bytes at `offset`, fewer at the end; none when the file may be executed and not read.
  std::vector<u8> read(u64 offset, size_t size) const;

 private:
  UserFile(UniqueFd path, UniqueFd data, FileId id) : path_(std::move(path)), data_(std::move(data)), id_(id) {}

  UniqueFd path_;  // O_PATH
  UniqueFd data_;  // -1: it cannot be read
  FileId id_;
};

}  // namespace bpfemu

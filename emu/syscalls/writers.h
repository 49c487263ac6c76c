// SPDX-License-Identifier: Apache-2.0
// Synthetic files that are open for writing: what a task writes to its descriptor goes to the node behind it.
#pragma once

#include <map>
#include <memory>

#include "emu/ports/host.h"
#include "emu/ports/task.h"
#include "emu/vfs/vfs.h"

namespace bpfemu {

struct Call;

class Writers {
 public:
  explicit Writers(Host& host) : host_(host) {}

  // `fd`: the supervisor's copy of what the task gets. Its process stops at writes from now on.
  void add(int fd, std::shared_ptr<FileNode> node, Task& task);
  // Null: not one of ours.
  std::shared_ptr<FileNode> find(Task& task, int fd) const;
  // Answers write, pwrite64 or writev: bytes taken, EFAULT, or what the node says.
  Result<u64> write(Call& call, FileNode& node);

 private:
  Host& host_;
  std::map<FileId, std::shared_ptr<FileNode>> nodes_;
};

}  // namespace bpfemu

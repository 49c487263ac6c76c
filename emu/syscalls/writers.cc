// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/writers.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <string>
#include <vector>

#include "emu/syscalls/call.h"

namespace bpfemu {

namespace {

constexpr size_t kMaxWrite = 1 << 20;  // more than any of these files takes at once
constexpr u64 kMaxPieces = 1024;       // UIO_MAXIOV

// The bytes that a writev gathers.
Result<std::string> gather(Task& task, u64 address, u64 count) {
  if (count > kMaxPieces) return fail(EINVAL);
  std::vector<iovec> pieces(count);
  TRY(task.read(address, pieces.data(), count * sizeof(iovec)));
  std::string text;
  for (const iovec& piece : pieces) {
    size_t size = std::min(piece.iov_len, kMaxWrite - text.size());
    size_t at = text.size();
    text.resize(at + size);
    TRY(task.read(reinterpret_cast<u64>(piece.iov_base), text.data() + at, size));
  }
  return text;
}

}  // namespace

void Writers::add(int fd, std::shared_ptr<FileNode> node, Task& task) {
  struct stat st;
  if (fstat(fd, &st) != 0) return;
  nodes_[FileId{st.st_dev, st.st_ino}] = std::move(node);
  SyscallSet writes;
  for (const TracedSyscall& call : traced_syscalls()) {
    if (call.when == TraceWhen::kWriters) writes.set(static_cast<size_t>(call.number));
  }
  host_.want_in_process(task, writes);
}

std::shared_ptr<FileNode> Writers::find(Task& task, int fd) const {
  if (nodes_.empty()) return nullptr;
  auto id = task.file_id(fd);
  auto it = id ? nodes_.find(*id) : nodes_.end();
  return it == nodes_.end() ? nullptr : it->second;
}

Result<u64> Writers::write(Call& call, FileNode& node) {
  if (call.number == SYS_writev) return node.write(&call.task, TRY(gather(call.task, call.args[1], call.args[2])));
  std::string text(std::min<u64>(call.args[2], kMaxWrite), '\0');
  TRY(call.task.read(call.args[1], text.data(), text.size()));
  return node.write(&call.task, text);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Open iterators: what BPF_ITER_CREATE gives, and what opening a pinned link of one does. What a reader gets is made as
// it reads, so every read is answered. The carrier is an empty file that is always ready, as these are to poll().
#pragma once

#include "emu/iter/iter_link.h"
#include "emu/syscalls/node_file.h"

namespace bpfemu {

class IterFile : public File {
 public:
  explicit IterFile(std::unique_ptr<IterSession> session);
  std::string link_name() const override { return "anon_inode:bpf_iter"; }
  std::vector<TraceWhen> stops() const override;
  u64 position() const override { return session_->position(); }
  bool is_read() const override { return true; }
  Result<u64> read(Task& task, u64 address, u64 size) override { return session_->read(task, address, size); }

 private:
  std::unique_ptr<IterSession> session_;
};

class PinnedIterFile : public NodeFile {
 public:
  // `flags` of open(2).
  PinnedIterFile(Vfs& vfs, Found found, std::unique_ptr<IterSession> session, u32 flags);
  bool is_native() const override { return false; }
  std::vector<TraceWhen> stops() const override;
  u64 position() const override { return session_->position(); }
  bool is_read() const override { return true; }
  Result<u64> read(Task& task, u64 address, u64 size) override { return session_->read(task, address, size); }

 private:
  std::unique_ptr<IterSession> session_;
};

// Opens the link's iterator for the task, at its place in bpffs.
Result<int> install_pinned_iter(System& system, Task& task, const Found& found, IterLink& link, int flags);

}  // namespace bpfemu

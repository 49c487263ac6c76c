// SPDX-License-Identifier: Apache-2.0
// The tracee of a fuzz run that takes place in the model's own process.
#pragma once

#include "tests/fakes/ports.h"
#include "tests/fuzz/memory.h"

namespace bpfemu::fuzz {

// A thread whose memory that is, and whose descriptors are the program's own.
class FuzzTask : public fakes::FakeTask {
 public:
  explicit FuzzTask(Memory& memory) : memory_(memory) {}
  Result<void> read(u64 address, void* to, size_t size) override;
  Result<void> write(u64 address, const void* from, size_t size) override;
  Result<std::string> read_string(u64 address, size_t limit) override;
  Result<u64> call(long number, std::array<u64, 6> args) override;
  Result<int> install_fd(int fd, bool cloexec) override;
  Result<FileId> file_id(int fd) override;
  Result<int> reopen_fd(int fd, int flags) override;
  Result<u64> scratch(size_t size) override;

  // After so many more of these operations the thread is dead, and all give ESRCH.
  void die_after(int operations) { left_ = operations; }
  // A new thread in its place. Descriptors that the dead one was given went with it, but for the call's result.
  void revive(s64 result);

  u64 violations = 0;

 private:
  static constexpr int kForEver = -1;
  bool lives() { return left_ == kForEver || (left_ > 0 && left_-- > 0); }

  Memory& memory_;
  int left_ = kForEver;
  std::vector<int> installed_;  // by this call
};

}  // namespace bpfemu::fuzz

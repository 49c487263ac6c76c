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

  u64 violations = 0;

 private:
  Memory& memory_;
};

}  // namespace bpfemu::fuzz

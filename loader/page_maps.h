// SPDX-License-Identifier: Apache-2.0
// Which pages of an address space are in memory, so that a thread which touches them has no page fault: what a program that
// must not sleep can read or write.
#pragma once

#include <sys/types.h>

#include <array>

#include "emu/base/fd.h"
#include "emu/base/result.h"

namespace bpfemu {

// The /proc/PID/pagemap files of the address spaces that were asked for last stay open: to open one costs more than to
// read it.
class PageMaps {
 public:
  // Are the `size` bytes at `address` of the space `memory` (Task::memory_id), where `tid` lives, in memory? EFAULT: some
  // page is not, nor is it when nobody lives there any more. Other errors of open(): we are not told.
  Result<void> require(u64 memory, pid_t tid, u64 address, size_t size);
  // Nor has a thread that writes to them: no page is to be copied first. One that was shared by a fork counts as copied
  // when the other process is gone. EFAULT, and errors, as of require().
  Result<void> require_writable(u64 memory, pid_t tid, u64 address, size_t size);

 private:
  struct Open {
    u64 memory = 0;
    UniqueFd file;
  };
  Result<int> file(u64 memory, pid_t tid);
  Result<u64> present(int map, u64 page);

  std::array<Open, 8> open_;
  size_t next_ = 0;  // to be closed
};

}  // namespace bpfemu

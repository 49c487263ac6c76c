// SPDX-License-Identifier: Apache-2.0
// Access to an address space where a page may have to come from somebody whom we hold up ourselves: from a FUSE server, or
// from the reader of a userfaultfd, who may be a thread of that very space. Threads of its own wait there, as many as there
// are accesses at a time.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <vector>

#include "emu/base/result.h"

namespace bpfemu {

// kForce writes through page protection: a private page is copied, a shared one gives EIO.
enum class Access { kRead, kWrite, kForce };

struct MemoryAccess {
  pid_t tid;
  u64 address;
  Access kind;
  std::vector<u8> bytes;  // to be written, or as they were read
  int error = 0;           // ESRCH, EFAULT, EPERM
  std::atomic<bool> done = false;
};

// All or nothing, at once: ESRCH, EFAULT, EPERM. It waits for whom the page has to wait.
// `bytes` are written only by kRead.
Result<void> access_memory(pid_t tid, u64 address, void* bytes, size_t size, Access kind);

class MemoryWorker {
 public:
  // `ready_fd`: an eventfd that tells of each access that is done.
  explicit MemoryWorker(int ready_fd);
  ~MemoryWorker();  // waits for nobody
  MemoryWorker(const MemoryWorker&) = delete;
  MemoryWorker& operator=(const MemoryWorker&) = delete;

  // EAGAIN: no thread to be had.
  Result<void> begin(std::shared_ptr<MemoryAccess> access);

 private:
  struct Shared;
  bool start_thread();
  static void* run(void* shared);
  std::shared_ptr<Shared> shared_;
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// The supervisor's side of the arena: makes the memfd, maps it, hands out page-granular extents.
#pragma once

#include <map>
#include <memory>

#include "emu/arena/layout.h"
#include "emu/base/fd.h"
#include "emu/base/result.h"
#include "emu/bpf/run.h"

namespace bpfemu {

struct Extent {
  u64 address = 0;
  u64 size = 0;
};

class Arena {
 public:
  // Maps the arena at kArenaBase; one per process. `cpus` possible CPUs get a Vcpu each. ENOMEM, EEXIST.
  static Result<std::unique_ptr<Arena>> create(u32 cpus);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // `size` bytes rounded up to pages, zeroed, aligned to a page. ENOMEM.
  Result<Extent> allocate(u64 size);
  // Gives the pages back: they read as zero when handed out again.
  void release(Extent extent);
  // Makes an extent readable and executable only (JIT code), or writable again.
  Result<void> protect(Extent extent, bool executable);

  int fd() const { return fd_.get(); }
  u64 file_offset(u64 address) const { return address - kArenaBase; }
  u32 cpus() const { return cpus_; }
  Vcpu& vcpu(u32 id) { return vcpus_[id]; }

 private:
  Arena() = default;
  Result<void> grow(u64 size);

  UniqueFd fd_;
  u32 cpus_ = 0;
  Vcpu* vcpus_ = nullptr;
  u64 grown_ = 0;                 // bytes of the memfd that exist
  std::map<u64, u64> free_;       // address -> size, coalesced
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// The supervisor's side of the arena: makes the memfd, maps it, hands out page-granular extents.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "emu/arena/layout.h"
#include "emu/arena/vcpu.h"
#include "emu/base/fd.h"
#include "emu/base/result.h"

namespace bpfemu {

struct Extent {
  u64 address = 0;
  u64 size = 0;
};

// What nobody uses, coalesced; the lowest that fits is taken first.
class FreeExtents {
 public:
  void add(Extent extent);
  std::optional<Extent> take(u64 size);

 private:
  std::map<u64, u64> sizes_;  // by address
};

// A piece of the arena's file, as mmap takes it.
struct FileRange {
  u64 offset = 0;
  u64 size = 0;
};

class Arena {
 public:
  // Maps the arena at kArenaBase; one per process. `cpus` possible CPUs get a Vcpu each. ENOMEM, EEXIST, EINVAL.
  static Result<std::unique_ptr<Arena>> create(u32 cpus);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // `size` bytes rounded up to pages, zeroed, aligned to a page. ENOMEM.
  Result<Extent> allocate(u64 size);
  // Gives the pages back: they read as zero when handed out again.
  void release(Extent extent);
  // The same for JIT code: pages that can be read and executed, and written by write_code() only. ENOMEM.
  Result<Extent> allocate_code(u64 size);
  void release_code(Extent extent);
  Result<void> write_code(Extent extent, std::span<const u8> code);
  // The arena is sparse, but what a kernel would have to allocate at once counts against the machine's memory, so that
  // nothing larger can be filled by walking it. ENOMEM.
  Result<void> commit(u64 size);
  void uncommit(u64 size) { committed_ -= size; }
  // Is as much in use as may be, whoever counted it? Looked at now and then.
  bool exhausted();
  // Until as many leave as have entered, what is released stays as it is: a program that has stood aside may still use it
  // (kernel: rcu_read_lock).
  void enter_grace() { ++readers_; }
  void leave_grace();
  // Shows the `size` bytes before the last `size` bytes of `extent` in these last ones too, so that what wraps around
  // the end of a ring is contiguous. Undone by release(). ENOMEM.
  Result<void> mirror(Extent extent, u64 size);

  // -1: a limit on the size of files leaves it without one, and nobody else can map it.
  int fd() const { return fd_.get(); }
  // The same for reading alone: who maps that can never make the pages writable. Errors as of open.
  Result<UniqueFd> for_reading() const;
  u64 file_offset(u64 address) const { return address - kArenaBase; }
  // The pieces of the file that show [address, address + size) when mapped one after the other, mirrors included.
  std::vector<FileRange> file_ranges(u64 address, u64 size) const;
  // Is [address, address + size) memory that can be touched without a fault?
  bool contains(u64 address, u64 size) const {
    return in_arena(address, size) && address - kArenaBase + size <= grown_;
  }
  // Where contains() ends, for runtime code that checks addresses itself (Env::arena_end).
  u64 end() const { return kArenaBase + grown_; }
  u32 cpus() const { return cpus_; }
  Vcpu& vcpu(u32 id) { return vcpus_[id]; }
  Vcpu* vcpus() { return vcpus_; }

 private:
  Arena() = default;
  Result<void> grow(u64 size);
  Result<void> map_range(u64 address, u64 size, u64 offset, int flags);
  Result<void> map_anonymous(u64 address, u64 size);

  UniqueFd fd_;
  u32 cpus_ = 0;
  Vcpu* vcpus_ = nullptr;
  u64 grown_ = 0;  // bytes of the memfd that exist and are mapped
  u64 limit_ = 0, committed_ = 0;
  u32 asked_ = 0;  // exhausted(), since somebody looked
  bool exhausted_ = false;
  FreeExtents free_, free_code_;
  u32 readers_ = 0;
  std::vector<Extent> waiting_, waiting_code_;
  std::map<u64, u64> mirrors_;  // address -> size; each shows the `size` bytes before it
};

}  // namespace bpfemu

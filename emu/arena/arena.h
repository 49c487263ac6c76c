// SPDX-License-Identifier: Apache-2.0
// The supervisor's side of the arena: makes the memfd, maps it, hands out page-granular extents. What is shared for
// writing lies in a second memfd at the same offsets, for who has a mapping of a file may move it to any place of it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
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

// A piece of the arena's file, or of the shared one, as mmap takes it.
struct FileRange {
  u64 offset = 0;
  u64 size = 0;
  bool shared = false;
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
  // (kernel: rcu_read_lock). So it does until whoever has a seat now has left it.
  void enter_grace() { ++readers_; }
  void leave_grace();
  // Shows the `size` bytes before the last `size` bytes of `extent` in these last ones too, so that what wraps around
  // the end of a ring is contiguous. Undone by release(). ENOMEM.
  Result<void> mirror(Extent extent, u64 size);
  // Takes the pages of `part`, which lies in one extent, from the shared file from now on, with what they hold. Who has
  // mapped them from the arena's file sees them stay as they were. What is shared already stays so. Undone by release().
  // EOPNOTSUPP: the arena has no file. EINVAL: no whole pages of it, or shown twice. ENOMEM: some may be shared.
  Result<void> share(Extent part);
  // What is, by address; `shares` grows whenever that changes.
  std::vector<Extent> shared() const;
  u64 shares() const { return shares_; }
  // The same in the arena, for processes; made when this is first called. Null: there is no memory.
  const u64* shares_told();

  // -1: a limit on the size of files leaves it without one, and nobody else can map it.
  int fd() const { return fd_.get(); }
  // -1: nothing was ever shared.
  int shared_fd() const { return shared_fd_.get(); }
  // One of the two for reading alone: who maps that can never make the pages writable. Errors as of open.
  Result<UniqueFd> for_reading(bool shared) const;
  u64 file_offset(u64 address) const { return address - kArenaBase; }
  // The pieces of the files that show [address, address + size) when mapped one after the other, mirrors included.
  std::vector<FileRange> file_ranges(u64 address, u64 size) const;
  // Is [address, address + size) memory that can be touched without a fault?
  bool contains(u64 address, u64 size) const {
    return in_arena(address, size) && address - kArenaBase + size <= grown_;
  }
  // Where contains() ends, for runtime code that checks addresses itself (Env::arena_end).
  u64 end() const { return kArenaBase + grown_; }
  u32 cpus() const { return cpus_; }
  // Of all CPUs, for threads that run programs by themselves; made when this is first called. Null: nothing can be shared.
  CpuSeat* seats();
  // As acquire_vcpu(). Threads that run programs by themselves are waited for: they are done in a moment, once they have a
  // CPU of the machine.
  Vcpu* take_vcpu(u32 wanted, u32 tid);
  // The thread is gone.
  void free_seats(u32 tid);
  Vcpu& vcpu(u32 id) { return vcpus_[id]; }
  Vcpu* vcpus() { return vcpus_; }

 private:
  // Who had seats at some time.
  class Sitters {
   public:
    Sitters(const CpuSeat* seats, u32 cpus);
    // Have all left? Nobody stays for long who is not hostile.
    bool have_left() const;

   private:
    std::vector<std::pair<const CpuSeat*, u32>> taken_;
    std::chrono::steady_clock::time_point since_;
  };
  struct Passing {
    Sitters sitters;
    Extent extent;
    bool code;
  };

  Arena() = default;
  Result<void> grow(u64 size);
  Result<void> map_range(const UniqueFd& file, u64 address, u64 size, u64 offset, int flags);
  Result<void> map_anonymous(u64 address, u64 size);
  Result<void> share_range(Extent range);
  void count_share();
  bool waits_for_sitters(Extent extent, bool code);
  void end_passings();
  void free_now(Extent extent, bool code);
  Result<void> take_back_mirrors(Extent extent);
  Result<void> take_back_shared(Extent extent);

  UniqueFd fd_, shared_fd_;
  u32 cpus_ = 0;
  Vcpu* vcpus_ = nullptr;
  CpuSeat* seats_ = nullptr;
  u64 grown_ = 0;  // bytes of the memfd that exist and are mapped
  u64 limit_ = 0, committed_ = 0;
  u32 asked_ = 0;  // exhausted(), since somebody looked
  bool exhausted_ = false;
  FreeExtents free_, free_code_;
  u32 readers_ = 0;
  std::vector<Extent> waiting_, waiting_code_;
  std::vector<Passing> passings_;
  std::map<u64, u64> mirrors_;  // address -> size; each shows the `size` bytes before it
  std::map<u64, u64> shared_;   // address -> size
  u64 shares_ = 0;
  u64* shares_told_ = nullptr;
};

}  // namespace bpfemu

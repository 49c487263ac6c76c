// SPDX-License-Identifier: Apache-2.0
// mmap of things that live in the arena: array maps, ring buffers, perf buffers. The tracee gets pages of the arena's
// own files, and never a descriptor of one.
#pragma once

#include "emu/bpf/map_object.h"
#include "emu/syscalls/call.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

// The arguments of an mmap call.
struct MmapRequest {
  explicit MmapRequest(const Call& call);
  // What the kernel checks before it asks the file (kernel: do_mmap): EINVAL, EACCES, EOPNOTSUPP, EOVERFLOW.
  Result<void> check(u32 mode) const;

  u64 address, size;     // size in whole pages
  u32 prot, flags;
  u64 offset;
  bool write() const;
  bool shared() const;
};

// Shows [arena_address, + size) at the place that the request names. Without PROT_WRITE it can never become writable.
// All or nothing: ENOMEM, EEXIST, ... as mmap.
Result<u64> map_arena(System& system, Task& task, const MmapRequest& request, u64 arena_address);

// mmap of a map's descriptor (kernel: bpf_map_mmap).
Result<u64> mmap_map(System& system, Call& call, MapObject& map, u32 mode);
// Where a process has pages of the arena, from /proc/PID/maps: empty when it is gone, or nobody ever mapped any.
struct ArenaMapping {
  u64 start, end;  // in the process
  u64 offset;      // of the arena's file, or of the shared one
  bool writable;
};
std::vector<ArenaMapping> arena_mappings(System& system, pid_t group);
// What the traced processes have mapped of the arena, now.
class ArenaMappings {
 public:
  explicit ArenaMappings(System& system);
  bool any(Extent extent) const { return overlaps(extent, false); }
  bool writable(Extent extent) const { return overlaps(extent, true); }
  // Has a process that part of the arena at this address?
  bool any_at(Extent extent, u64 address) const;

 private:
  struct Range {
    u64 first, last;  // in the arena's file, or the shared one
    u64 start;        // in the process
    bool writable;
  };
  bool overlaps(Extent extent, bool writable) const;

  const Arena& arena_;
  std::vector<Range> ranges_;
};

// Lets go what only a mapping kept that is gone meanwhile: munmap and exec tell nobody.
void release_unmapped(System& system);

}  // namespace bpfemu

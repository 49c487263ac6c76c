// SPDX-License-Identifier: Apache-2.0
// mmap of things that live in the arena: array maps, ring buffers, perf buffers. The tracee gets pages of the arena's
// own file, through a descriptor that exists only while the call is answered.
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
// Does some traced process still have the map mapped writable?
bool mapped_writable(System& system, const MapObject& map);

}  // namespace bpfemu

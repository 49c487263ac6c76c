// SPDX-License-Identifier: Apache-2.0
// A map as programs and helpers see it: an arena-resident head, and one table of operations per map type.
// Adding a map type = one file that defines a `const MapOps` + one line in emu/abi/map_types.inc. Runtime code.
#pragma once

#include "emu/arena/lock.h"
#include "emu/base/types.h"
#include "emu/bpf/run.h"

namespace bpfemu {

// What BPF_MAP_CREATE asks for, after the checks common to all types.
struct MapAttr {
  u32 type, key_size, value_size, max_entries, flags;
  u64 extra;
  u32 cpus;                 // possible CPUs
  bool privileged;          // bpf_capable()
};

// The head of every map; its address in the arena is what a program holds as a map pointer. A map type derives from it.
struct Map {
  u32 type;
  u32 key_size;
  u32 value_size;
  u32 max_entries;
  u32 flags;
  u32 id;
  u64 extra;
  u32 cpus;
  u32 frozen;
  u64 footprint;            // bytes of the arena extent
  ArenaLock lock;
  u32 wake_source;          // rings: index of the carrier to wake, kept by the control plane
};

// Operations of a map type. Results are the kernel's: 0 or a count, or a negative errno; pointers are null on failure.
// A null operation is -ENOTSUPP (524) for system calls and refused by the verifier for programs.
struct MapOps {
  // BPF_MAP_CREATE: the type's own checks (kernel: map_alloc_check), 0 or -errno.
  s64 (*alloc_check)(const MapAttr& attr);
  // Bytes of arena that a map of this kind takes, Map head included. Memory is sparse: untouched pages cost nothing.
  u64 (*footprint)(const MapAttr& attr);
  // Fills in what follows the head, in zeroed memory.
  void (*init)(Map& map);

  // From programs (and, where it is the same, from system calls).
  void* (*lookup)(Run* run, Map& map, const void* key);
  s64 (*update)(Run* run, Map& map, const void* key, const void* value, u64 flags);
  s64 (*erase)(Run* run, Map& map, const void* key);
  void* (*lookup_percpu)(Run* run, Map& map, const void* key, u32 cpu);
  s64 (*push)(Run* run, Map& map, const void* value, u64 flags);
  s64 (*pop)(Run* run, Map& map, void* value);
  s64 (*peek)(Run* run, Map& map, void* value);
  // Calls `callback(map, key, value, context, 0)` for each element until it returns 1; number of elements seen.
  s64 (*for_each)(Run* run, Map& map, u64 (*callback)(u64, u64, u64, u64, u64, Run*), u64 context, u64 flags);

  // From system calls.
  s64 (*get_next_key)(Map& map, const void* key, void* next);           // key null: the first; -ENOENT after the last
  // Copies a value out as bpf() shows it: value_size bytes, or round_up(value_size, 8) per possible CPU.
  s64 (*copy_value)(Run* run, Map& map, const void* key, void* value);
  s64 (*update_value)(Run* run, Map& map, const void* key, const void* value, u64 flags);
  s64 (*lookup_and_delete)(Run* run, Map& map, const void* key, void* value);

  // Address of the value area for BPF_PSEUDO_MAP_VALUE: offset within it, 0 or -errno (kernel: map_direct_value_addr).
  s64 (*direct_value)(Map& map, u64 offset, u64* address);
  // What an mmap of the map's fd shows: offset from the Map head and length in bytes; -EINVAL when not mappable.
  s64 (*mmap_area)(Map& map, u64* offset, u64* length);
};

// The operations of a type, null when it cannot be created (kernel: find_and_alloc_map).
const MapOps* map_ops(u32 type);

// Size of the buffer that copy_value fills and update_value reads (kernel: bpf_map_value_size).
u64 user_value_size(const Map& map);

}  // namespace bpfemu

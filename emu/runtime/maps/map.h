// SPDX-License-Identifier: Apache-2.0
// A map as programs and helpers see it: an arena-resident head, and one table of operations per map type.
// Adding a map type = one file that defines a `const MapOps` + one line in emu/abi/map_types.inc. Runtime code.
#pragma once

#include "emu/arena/lock.h"
#include "emu/base/types.h"
#include "emu/runtime/run.h"

namespace bpfemu {

// What BPF_MAP_CREATE asks for, after the checks common to all types.
struct MapAttr {
  u32 type, key_size, value_size, max_entries, flags;
  u64 extra;
  u32 cpus;         // possible CPUs
  bool privileged;  // bpf_capable()
  u32 btf_key_type_id = 0, btf_value_type_id = 0, btf_vmlinux_value_type_id = 0;
};

// Bytes of a value that copies leave alone: a bpf_spin_lock, a bpf_timer, a kptr (kernel: bpf_map_off_arr).
struct ValueHole {
  u32 offset, size;
};
inline constexpr u32 kMaxValueHoles = 10;

// A kptr in a value. `destructor` releases what it points to; null: the map does not own that (an unreferenced kptr).
struct KptrSlot {
  u32 offset;
  HelperFn destructor;
};
inline constexpr u32 kMaxKptrs = 8;  // BPF_MAP_VALUE_OFF_MAX

// Room for the kernel's own struct of any map type, the largest of which is struct bpf_htab.
inline constexpr u32 kShownMap = 832;

// The head of every map; its address in the arena is what a program holds as a map pointer. A map type derives from it.
struct Map {
  alignas(64) u8 shown[kShownMap];  // the map as the kernel's struct, which is what a map pointer points to there
  u32* shown_count;                 // in it, the number of a hash's elements; null: the kernel keeps it elsewhere
  u32 type;
  u32 key_size;
  u32 value_size;
  u32 max_entries;
  u32 flags;
  u32 id;  // set by the control plane once the map has one
  u64 extra;
  u32 cpus;
  u32 frozen;
  u64 footprint;  // bytes of the arena extent
  u64 values_at, values_size;  // the pages that hold values and nothing else, from the head on; 0: there are none
  CpuSeat* seats;              // of threads that change the values by themselves; null: nobody does
  ArenaLock lock;
  u32 wake_source;       // rings: index of the carrier to wake, kept by the control plane
  s32 spin_lock_offset;  // of the bpf_spin_lock in a value, -1: none (see MapObject::set_value_fields)
  s32 timer_offset;      // of the bpf_timer
  u32 hole_count;
  ValueHole holes[kMaxValueHoles];  // in the order of their offsets
  u32 kptr_count;
  KptrSlot kptrs[kMaxKptrs];
};

// What an element that user space writes as a descriptor refers to. The control plane resolves the descriptor, keeps
// the object alive in MapObject::elements and puts the arena address of its runtime half in with `exchange`.
enum class ElementKind : u8 {
  kBytes,      // a plain value
  kProgram,    // ProgramText
  kMap,        // Map
  kPerfEvent,  // PerfEventState
  kCgroup,     // the cgroup's id
  kSocket,     // RunSock
};

// What BTF a map of the type may be created with (kernel: map_check_btf).
enum class BtfRule : u8 {
  kAny,         // sizes must agree
  kNone,        // -ENOTSUPP
  kArrayIndex,  // a 32-bit int key, or the void key of a data section
  kIntKey,      // a 32-bit int key
  kNoKey,       // a void key
  kStruct,      // a struct key (LPM trie)
  kCgroupKey,   // a 64-bit int, or struct bpf_cgroup_storage_key
};

// Batch commands that a type has; without its bit, -ENOTSUPP.
inline constexpr u8 kBatchLookup = 1, kBatchUpdate = 2, kBatchDelete = 4, kBatchLookupAndDelete = 8;

// Where an iterator is in a map (kernel: bpf_iter_seq_hash_map_info, bpf_iter_seq_array_map_info).
struct MapPlace {
  u32 bucket = 0;   // of an array: the index, which is the key
  u32 skipped = 0;  // elements of the bucket before it
  const void* key = nullptr;
  void* value = nullptr;    // of one that has a value per CPU: of the first
  const void* element = nullptr;
};

using MapCallback = u64 (*)(u64, u64, u64, u64, u64, Run*);

// Operations of a map type. Results are the kernel's: 0 or a count, or a negative errno; pointers are null on failure.
// A null operation is -ENOTSUPP for system calls and refused by the verifier for programs.
// `run` may be null in calls on behalf of system calls.
struct MapOps {
  // BPF_MAP_CREATE: the type's own checks (kernel: map_alloc_check, map_alloc), 0 or -errno.
  s64 (*alloc_check)(const MapAttr& attr) = nullptr;
  // Bytes of arena that a map of this kind takes, Map head included. Memory is sparse: untouched pages cost nothing.
  u64 (*footprint)(const MapAttr& attr) = nullptr;
  // How much of that the kernel would allocate at creation; null: all of it.
  u64 (*committed)(const MapAttr& attr) = nullptr;
  // Fills in what follows the head, in zeroed memory.
  void (*init)(Map& map) = nullptr;
  // How many bytes at the end of the footprint show the bytes before them once more (ring buffers); null: none.
  u64 (*mirrored)(const MapAttr& attr) = nullptr;

  // From programs (and, where it is the same, from system calls).
  void* (*lookup)(Run* run, Map& map, const void* key) = nullptr;
  s64 (*update)(Run* run, Map& map, const void* key, const void* value, u64 flags) = nullptr;
  s64 (*erase)(Run* run, Map& map, const void* key) = nullptr;
  void* (*lookup_percpu)(Run* run, Map& map, const void* key, u32 cpu) = nullptr;
  s64 (*push)(Run* run, Map& map, const void* value, u64 flags) = nullptr;
  s64 (*pop)(Run* run, Map& map, void* value) = nullptr;
  s64 (*peek)(Run* run, Map& map, void* value) = nullptr;
  // Calls `callback(map, key, value, context, 0)` for each element until it returns 1; number of elements seen.
  s64 (*for_each)(Run* run, Map& map, MapCallback callback, u64 context, u64 flags) = nullptr;

  // From system calls.
  s64 (*get_next_key)(Map& map, const void* key, void* next) = nullptr;  // key null: the first; -ENOENT after the last
  // Copies a value out as bpf() shows it: user_value_size() bytes. Of a type without keys, what peek gives.
  s64 (*copy_value)(Run* run, Map& map, const void* key, void* value) = nullptr;
  // Of a type without keys, a push. Null for a type whose elements are descriptors.
  s64 (*update_value)(Run* run, Map& map, const void* key, const void* value, u64 flags) = nullptr;
  // Of a type whose elements are descriptors: puts the object at `address` in, 0 takes out what is there (kernel:
  // bpf_fd_array_map_update_elem, fd_array_map_delete_elem). `old` gets what was there, 0 for nothing.
  s64 (*exchange)(Map& map, const void* key, u64 address, u64 flags, u64* old) = nullptr;
  s64 (*lookup_and_delete)(Run* run, Map& map, const void* key, void* value) = nullptr;
  // Hash tables' lookup batches go by bucket (in_batch is a bucket number): how many there are, and how many elements
  // one has, whose keys and values are copied when `room` is enough for all of them. Null: batches go by key.
  u32 (*bucket_count)(Map& map) = nullptr;
  u32 (*copy_bucket)(Run* run, Map& map, u32 bucket, void* keys, void* values, u32 room) = nullptr;

  // Iterators: the element at the place, or where that is gone, the next one; and the one behind it. False: there is
  // none. Null: programs cannot walk such maps (kernel: iter_seq_info, bpf_iter_attach_map).
  bool (*at_place)(Map& map, MapPlace& place) = nullptr;
  bool (*next_place)(Map& map, MapPlace& place) = nullptr;

  // Address of the value area for BPF_PSEUDO_MAP_VALUE, to which `offset` is added: 0 or -errno
  // (kernel: map_direct_value_addr).
  s64 (*direct_value)(Map& map, u64 offset, u64* address) = nullptr;
  // What an mmap of the map's fd shows: offset from the Map head and length in bytes; -EINVAL when not mappable. Parts
  // of it may be mirrored: Arena::file_ranges tells what to map.
  s64 (*mmap_area)(Map& map, u64* offset, u64* length) = nullptr;

  ElementKind elements = ElementKind::kBytes;
  BtfRule btf = BtfRule::kAny;
  u8 batches = 0;
  bool can_be_inner = true;        // of a map of maps (kernel: map_meta_equal)
  bool inner_max_entries = false;  // ... whose max_entries must agree, but for BPF_F_INNER_MAP
  bool per_cpu = false;            // user space sees one value per possible CPU
};

// The operations of a type, null when it cannot be created (kernel: find_and_alloc_map).
const MapOps* map_ops(u32 type);

// Size of the buffer that copy_value fills and update_value reads (kernel: bpf_map_value_size).
u64 user_value_size(const Map& map);

// What the control plane and the verifier must know of a map type beyond its operations.
enum MapTrait : u32 {
  kSleepable = 1 << 0,      // sleepable programs may use it
  kSpinLock = 1 << 1,       // values may hold a bpf_spin_lock,
  kTimer = 1 << 2,          // a bpf_timer,
  kKptr = 1 << 3,           // kptrs
  kSockets = 1 << 4,        // elements are sockets that programs get as such
  kPrograms = 1 << 5,       // elements are or carry programs, which must fit one another (kernel: map_type_contains_progs)
  kInterfaces = 1 << 6,     // values name network interfaces
  kCgroupStorage = 1 << 7,  // a program has at most one of the type
  kRing = 1 << 8,           // its mapping is a ring buffer's
  kKeyless = 1 << 9,        // values are pushed and popped
  kShown = 1 << 10,         // pinned with BTF, its file shows the elements (kernel: map_seq_show_elem)
  kReadInside = 1 << 11,    // processes read it by themselves (emu/runtime/inside)
  kWriteInside = 1 << 12,   // values have pages of their own, to which processes may write
};

// One line of emu/abi/map_types.inc.
struct MapType {
  u32 id;
  const char* name;  // "BPF_MAP_TYPE_HASH" without the prefix
  const char* bpftool_name;
  u32 since;  // kernel_version(major, minor)
  const MapOps* ops;
  const char* kernel_struct;  // "bpf_htab"
  u32 traits;                 // MapTrait
  const char* note;  // for docs/support.md
};
// Null when no kernel of the table's age has the type.
const MapType* map_type(u32 id);

// Of a type that is in the table, as that of a map that exists is.
inline bool has_trait(u32 type, MapTrait trait) {
  return map_type(type)->traits & trait;
}
inline bool has_trait(const Map& map, MapTrait trait) {
  return has_trait(map.type, trait);
}

}  // namespace bpfemu

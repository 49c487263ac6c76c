// SPDX-License-Identifier: Apache-2.0
// What all map types share: copying values around their special fields, flag checks, per-CPU strides, answers of
// operations that a type refuses. Runtime code.
#pragma once

#include <linux/bpf.h>

#include <cerrno>

#include "emu/base/bytes.h"
#include "emu/base/errors.h"
#include "emu/runtime/maps/map.h"

namespace bpfemu {

inline constexpr u64 kKmallocMax = u64{4} << 20;  // KMALLOC_MAX_SIZE
inline constexpr u64 kPerCpuUnitMin = 32 << 10;   // PCPU_MIN_UNIT_SIZE
inline constexpr u32 kAccessMask = BPF_F_RDONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY | BPF_F_WRONLY_PROG;
inline constexpr u64 kNever = ~u64{0};  // a footprint that no arena has

// Kernel: bpf_map_flags_access_ok.
inline bool access_ok(u32 flags) {
  constexpr u32 both = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;
  return (flags & both) != both;
}

// Bytes of one CPU's value, and of all CPUs' values.
inline u64 value_stride(const Map& map) {
  return round_up(map.value_size, 8);
}
inline u32 current_cpu(const Run* run) {
  return run && run->cpu ? run->cpu->id : 0;
}

// Of these, on which CPU something is done decides what is left of the elements.
inline bool is_lru(const Map& map) {
  return map.type == BPF_MAP_TYPE_LRU_HASH || map.type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

// May no element be made in memory that was not counted when its map was created?
inline bool exhausted(const Run* run) {
  return run && run->env && run->env->exhausted;
}

// Calls `piece(offset, size)` for the bytes between the holes.
template <class Piece>
inline void for_plain_bytes(const Map& map, Piece piece) {
  u32 at = 0;
  for (u32 i = 0; i < map.hole_count; ++i) {
    piece(at, map.holes[i].offset - at);
    at = map.holes[i].offset + map.holes[i].size;
  }
  piece(at, map.value_size - at);
}

// Kernel: copy_map_value.
inline void copy_value_in(const Map& map, void* to, const void* from) {
  for_plain_bytes(map, [=](u32 at, u32 size) {
    __builtin_memcpy(static_cast<u8*>(to) + at, static_cast<const u8*>(from) + at, size);
  });
}
// The same for the way out, with the holes zeroed (kernel: check_and_init_map_value).
inline void copy_value_out(const Map& map, void* to, const void* from) {
  for (u32 i = 0; i < map.hole_count; ++i) {
    __builtin_memset(static_cast<u8*>(to) + map.holes[i].offset, 0, map.holes[i].size);
  }
  copy_value_in(map, to, from);
}

inline ArenaLock& value_lock(const Map& map, void* value) {
  return *reinterpret_cast<ArenaLock*>(static_cast<u8*>(value) + map.spin_lock_offset);
}
// Under the value's own bpf_spin_lock, for BPF_F_LOCK (kernel: copy_map_value_locked).
void copy_value_in_locked(Run* run, const Map& map, void* to, const void* from);

// Empties a value's kptrs and releases what they own (kernel: bpf_map_free_kptrs).
void free_kptrs(const Map& map, void* value);
// The same for a value that leaves its map, or whose place another takes (kernel: check_and_free_fields).
inline void free_fields(const Map& map, void* value) {
  if (map.kptr_count) free_kptrs(map, value);
  // Its first word names the timer: without it there is none any longer (kernel: bpf_timer_cancel_and_free).
  if (map.timer_offset >= 0) store(static_cast<u8*>(value) + map.timer_offset, u64{0});
}

// Flags of an update against whether the key is there already (kernel: check_flags).
inline s64 check_update(bool exists, u64 flags) {
  flags &= ~u64{BPF_F_LOCK};
  if (exists && flags == BPF_NOEXIST) return -EEXIST;
  if (!exists && flags == BPF_EXIST) return -ENOENT;
  return 0;
}

// Operations that a type answers with an error of its own.
template <s64 error>
s64 refuse_update(Run*, Map&, const void*, const void*, u64) {
  return error;
}
template <s64 error>
s64 refuse_key(Run*, Map&, const void*) {
  return error;
}
template <s64 error>
s64 refuse_copy(Run*, Map&, const void*, void*) {
  return error;
}
template <s64 error>
s64 refuse_next(Map&, const void*, void*) {
  return error;
}
template <s64 error>
s64 refuse_value(Run*, Map&, void*) {
  return error;
}

}  // namespace bpfemu

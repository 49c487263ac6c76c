// SPDX-License-Identifier: Apache-2.0
// How a thread that runs programs by itself finds and changes an array's elements. Runtime code.
#pragma once

#include "emu/runtime/maps/array.h"

namespace bpfemu {

// Null: there is none. Of one per CPU, that of `cpu`.
inline u8* array_value(Map& base, const void* key, u32 cpu) {
  ArrayMap& map = static_cast<ArrayMap&>(base);
  const u32 index = load<u32>(key);
  if (index >= map.max_entries) return nullptr;
  return map.value(index) + (map.type == BPF_MAP_TYPE_PERCPU_ARRAY ? cpu * map.plane : 0);
}

// Kernel: array_map_update_elem. There is no bpf_spin_lock in a value.
inline s64 change_array(const Map& map, u8* to, const void* value, u64 flags) {
  if ((flags & ~u64{BPF_F_LOCK}) > BPF_EXIST) return -EINVAL;
  if (!to) return -E2BIG;
  if (flags & BPF_NOEXIST) return -EEXIST;
  if (flags & BPF_F_LOCK) return -EINVAL;
  __builtin_memcpy(to, value, map.value_size);
  return 0;
}

}  // namespace bpfemu

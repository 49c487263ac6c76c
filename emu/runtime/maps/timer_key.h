// SPDX-License-Identifier: Apache-2.0
// Which key the value of a map that may hold timers has (kernel: bpf_timer_cb). Runtime code.
#pragma once

#include "emu/runtime/maps/array.h"
#include "emu/runtime/maps/hash_table.h"

namespace bpfemu {

// The address of the key of `value`; `index` is where an array's is put.
inline u64 timer_key(Map& map, u64 value, u32& index) {
  if (map.type == BPF_MAP_TYPE_ARRAY) {
    auto& array = static_cast<ArrayMap&>(map);
    index = static_cast<u32>((value - reinterpret_cast<u64>(array.value(0))) / array.stride);
    return reinterpret_cast<u64>(&index);
  }
  auto& hash = static_cast<HashMap&>(map);
  return reinterpret_cast<u64>(hash.key(hash.with_value(value)));
}

}  // namespace bpfemu

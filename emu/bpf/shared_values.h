// SPDX-License-Identifier: Apache-2.0
// Maps whose values traced processes write to by themselves (emu/runtime/inside).
#pragma once

#include "emu/arena/arena.h"
#include "emu/runtime/maps/map.h"

namespace bpfemu {

// Are its values bytes and nothing else, in pages of their own that nobody has mapped?
inline bool is_shareable(const Map& map) {
  return has_trait(map, kWriteInside) && map.hole_count == 0 && map.values_at != 0 && !(map.flags & BPF_F_MMAPABLE);
}

// From now on they may (Map::seats). What is shared already stays so. False: there is no memory.
inline bool share_values(Arena& arena, Map& map) {
  CpuSeat* const seats = arena.seats();
  if (!seats || !arena.share({reinterpret_cast<u64>(&map) + map.values_at, map.values_size})) return false;
  __atomic_store_n(&map.seats, seats, __ATOMIC_RELEASE);
  return true;
}

}  // namespace bpfemu

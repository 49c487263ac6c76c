// SPDX-License-Identifier: Apache-2.0
// Arrays whose elements are descriptors: the head, then one arena address per index (see ElementKind). Runtime code.
#pragma once

#include "emu/runtime/maps/map.h"

namespace bpfemu {

struct ObjectArray : Map {
  // max_entries of them, 0 when empty. Written with one store, read by running code.
  u64 slots[];
};

// The object at the index, 0 when there is none.
inline u64 object_at(Map& base, u32 index) {
  ObjectArray& map = static_cast<ObjectArray&>(base);
  return index < map.max_entries ? __atomic_load_n(&map.slots[index], __ATOMIC_ACQUIRE) : 0;
}

}  // namespace bpfemu

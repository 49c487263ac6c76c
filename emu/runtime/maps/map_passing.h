// SPDX-License-Identifier: Apache-2.0
// Functions of the kernel's map types, as maps pass them. Runtime code.
#pragma once

#include "emu/runtime/maps/map.h"
#include "emu/runtime/passing.h"

namespace bpfemu {

// They have the map first. What a map is made of inside has no id, and passes none.
inline RuntimePassing pass(Run* run, const Map& map, RuntimeFunction function, const void* key, const void* value = nullptr,
                           u64 flags = 0) {
  return {map.id ? run : nullptr,       function,
          reinterpret_cast<u64>(&map),  reinterpret_cast<u64>(key),
          reinterpret_cast<u64>(value), flags};
}

}  // namespace bpfemu

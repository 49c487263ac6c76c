// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/maps/types.h"

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {

constexpr MapType kTypes[] = {
#define MAP_TYPE(id, name, bpftool_name, major, minor, ops, kernel_struct, traits, note) \
  {id, #name, bpftool_name, (major << 16) + (minor << 8), ops, kernel_struct, traits, note},
#include "emu/abi/map_types.inc"
#undef MAP_TYPE
};

// The table is in the order of ids, from 1.
constexpr bool in_order() {
  for (u32 i = 0; i < sizeof kTypes / sizeof kTypes[0]; ++i) {
    if (kTypes[i].id != i + 1) return false;
  }
  return true;
}
static_assert(in_order());

}  // namespace

const MapType* map_type(u32 id) {
  u32 index = id - 1;
  return index < sizeof kTypes / sizeof kTypes[0] ? &kTypes[index] : nullptr;
}

const MapOps* map_ops(u32 type) {
  const MapType* line = map_type(type);
  return line ? line->ops : nullptr;
}

u64 user_value_size(const Map& map) {
  if (map_ops(map.type)->per_cpu) return map.cpus * round_up(map.value_size, 8);
  return map.value_size;
}

}  // namespace bpfemu

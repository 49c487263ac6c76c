// SPDX-License-Identifier: Apache-2.0
// Maps for programs by hand, and the lookup that most of them begin with.
#pragma once

#include "emu/arena/arena.h"
#include "tests/unit/verifier/program.h"

namespace bpfemu {

struct Maps {
  Maps() : arena(std::move(*Arena::create(1))) {}
  std::shared_ptr<MapObject> make(u32 type, u32 value_size, u32 max_entries, u32 flags = 0) {
    MapAttr attr{};
    attr.type = type;
    attr.key_size = type == BPF_MAP_TYPE_RINGBUF ? 0 : 4;
    attr.value_size = value_size;
    attr.max_entries = max_entries;
    attr.flags = flags;
    attr.cpus = 1;
    attr.privileged = true;
    return *MapObject::create(*arena, attr, *map_ops(type));
  }
  std::unique_ptr<Arena> arena;
};

// r0 = lookup(map 0, key 0) at instruction 5, then `rest` from 6 on.
inline Insns after_lookup(Insns rest) {
  Insns insns{
      op(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
      copy(2, 10),
      add(2, -4),
      op(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 0),
      op(0, 0, 0, 0, 0),
      call(BPF_FUNC_map_lookup_elem),
  };
  insns.insert(insns.end(), rest.begin(), rest.end());
  return insns;
}

}  // namespace bpfemu

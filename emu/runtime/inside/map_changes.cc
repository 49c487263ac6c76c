// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_UPDATE_ELEM and BPF_MAP_DELETE_ELEM, for maps whose values processes can write to (Map::seats): an element of an
// array, or one of a hash that its bucket leads to. The thread has a seat meanwhile, so the map stays; and what it has begun
// it brings to an end, whatever signal comes.
#include <linux/bpf.h>

#include "emu/base/bytes.h"
#include "emu/runtime/inside/array_change.h"
#include "emu/runtime/inside/element_change.h"
#include "emu/runtime/inside/map_call.h"
#include "emu/runtime/inside/seating.h"

namespace bpfemu {

namespace {

constexpr u32 kMostKey = 256, kMostValue = 1024;

// Of values for all CPUs none is changed here.
bool is_changed_here(const Map& map, u32 command) {
  if (map.frozen || !__atomic_load_n(&map.seats, __ATOMIC_ACQUIRE)) return false;
  if (command == BPF_MAP_DELETE_ELEM) return map.type == BPF_MAP_TYPE_HASH || map.type == BPF_MAP_TYPE_PERCPU_HASH;
  return map.type == BPF_MAP_TYPE_HASH || map.type == BPF_MAP_TYPE_ARRAY;
}

class MapChange {
 public:
  MapChange(Map& map, const MapCall& call, u32 command) : map_(map), call_(call), command_(command) {}

  // Nothing has been done as long as this may fault.
  bool read() {
    const u32 key_size = map_.key_size, value_size = map_.value_size;
    if (!is_changed_here(map_, command_) || key_size > kMostKey || value_size > kMostValue || call_.key == 0) return false;
    __builtin_memcpy(key_, reinterpret_cast<const void*>(call_.key), key_size);
    if (erases()) return call_.out == 0 && call_.flags == 0;
    __builtin_memcpy(value_, reinterpret_cast<const void*>(call_.out), value_size);
    return call_.flags <= BPF_EXIST;
  }

  bool make(u32 cpu, s64& result) {
    if (map_.type == BPF_MAP_TYPE_ARRAY) return result = change_array(map_, array_value(map_, key_, cpu), value_, call_.flags), true;
    ElementChange element(static_cast<HashMap&>(map_), key_, cpu);
    return erases() ? element.erase(result) : element.update(value_, call_.flags, result);
  }

 private:
  bool erases() const { return command_ == BPF_MAP_DELETE_ELEM; }

  Map& map_;
  const MapCall& call_;
  u32 command_;
  u64 key_[kMostKey / sizeof(u64)], value_[kMostValue / sizeof(u64)];
};

}  // namespace

bool change_map(InsideSlot& slot, const InsideState& state, const MapCall& call, u32 command, s64& result) {
  if (!state.plain_ids || !state.maps->seats) return false;
  Seating seating(slot, state.maps->seats, state.maps->cpus, ids_of_thread(state).tid);
  if (!seating) return false;
  const MapIndex::Place* const place = place_of(state, call.fd);
  if (!place || !place->writes || reinterpret_cast<u64>(place->map) + place->map->footprint > state.arena_end) return false;
  MapChange change(*place->map, call, command);
  // What is shared is told of before anybody may write to it.
  if (!change.read() || !sees_values(state)) return false;
  __atomic_store_n(&slot.told, 1, __ATOMIC_SEQ_CST);
  const bool made = change.make(slot.seat - 1, result);
  if (!made) __atomic_store_n(&slot.told, 0, __ATOMIC_SEQ_CST);
  return made;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/map_object.h"

#include <linux/bpf.h>

#include <algorithm>

#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

// Of one element, on all CPUs; `ops_at` is the address of the map's operations.
u64 free_element_kptrs(u64 map_at, u64 key, u64 value, u64 ops_at, u64, Run*) {
  Map& map = *reinterpret_cast<Map*>(map_at);
  const MapOps& ops = *reinterpret_cast<const MapOps*>(ops_at);
  if (!ops.per_cpu) free_kptrs(map, reinterpret_cast<void*>(value));
  for (u32 cpu = 0; ops.per_cpu && cpu < map.cpus; ++cpu) {
    free_kptrs(map, ops.lookup_percpu(nullptr, map, reinterpret_cast<const void*>(key), cpu));
  }
  return 0;
}

}  // namespace

Result<std::shared_ptr<MapObject>> MapObject::create(Arena& arena, const MapAttr& attr, const MapOps& ops) {
  std::shared_ptr<MapObject> object(new MapObject);
  u64 footprint = ops.footprint(attr), committed = ops.committed ? ops.committed(attr) : footprint;
  TRY(arena.commit(committed));
  object->arena_ = &arena;
  object->committed_ = committed;
  object->extent_ = TRY(arena.allocate(footprint));
  object->ops_ = &ops;
  if (ops.mirrored) TRY(arena.mirror(object->extent_, ops.mirrored(attr)));
  Map& map = *(object->map_ = reinterpret_cast<Map*>(object->extent_.address));
  map.type = attr.type;
  map.key_size = attr.key_size;
  map.value_size = attr.value_size;
  map.max_entries = attr.max_entries;
  map.flags = attr.flags;
  map.extra = attr.extra;
  map.cpus = attr.cpus;
  map.footprint = footprint;
  map.spin_lock_offset = map.timer_offset = -1;
  ops.init(map);
  return object;
}

MapObject::~MapObject() {
  if (!arena_) return;
  if (map_ && map_->kptr_count) ops_->for_each(nullptr, *map_, free_element_kptrs, reinterpret_cast<u64>(ops_), 0);
  arena_->release(extent_);
  arena_->uncommit(committed_);
}

void MapObject::set_value_fields() {
  std::vector<ValueHole> holes;
  if (spin_lock_offset) holes.push_back({*spin_lock_offset, sizeof(bpf_spin_lock)});
  if (timer_offset) holes.push_back({*timer_offset, sizeof(bpf_timer)});
  for (const KptrField& field : kptrs) holes.push_back({field.offset, sizeof(u64)});
  std::ranges::sort(holes, {}, &ValueHole::offset);
  map_->spin_lock_offset = spin_lock_offset ? static_cast<s32>(*spin_lock_offset) : -1;
  map_->timer_offset = timer_offset ? static_cast<s32>(*timer_offset) : -1;
  map_->hole_count = static_cast<u32>(std::min<size_t>(holes.size(), kMaxValueHoles));
  std::copy_n(holes.begin(), map_->hole_count, map_->holes);
  for (const KptrField& field : kptrs) map_->kptrs[map_->kptr_count++] = {field.offset, field.destructor};
}

}  // namespace bpfemu

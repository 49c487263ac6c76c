// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/map_object.h"

#include <linux/bpf.h>

#include <algorithm>

#include "emu/bpf/maps/map.h"

namespace bpfemu {

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
  map.spin_lock_offset = -1;
  ops.init(map);
  return object;
}

MapObject::~MapObject() {
  if (!arena_) return;
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
  map_->hole_count = static_cast<u32>(std::min<size_t>(holes.size(), kMaxValueHoles));
  std::copy_n(holes.begin(), map_->hole_count, map_->holes);
}

}  // namespace bpfemu

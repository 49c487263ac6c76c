// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_PERCPU_ARRAY: a plane of values per possible CPU.
#include "emu/runtime/maps/array.h"
#include "emu/runtime/maps/types.h"

namespace bpfemu {

namespace {

u64 footprint(const MapAttr& attr) {
  return array_footprint(attr, round_up(attr.value_size, 8), attr.cpus);
}
u64 committed(const MapAttr& attr) {
  return array_committed(attr, round_up(attr.value_size, 8), attr.cpus);
}
void init(Map& map) {
  array_init(map, value_stride(map));
}

void* lookup_percpu(Run*, Map& base, const void* key, u32 cpu) {
  ArrayMap& map = static_cast<ArrayMap&>(base);
  u32 index = load<u32>(key);
  if (cpu >= map.cpus || index >= map.max_entries) return nullptr;
  return map.value(index) + cpu * map.plane;
}

void* lookup(Run* run, Map& map, const void* key) {
  return lookup_percpu(run, map, key, current_cpu(run));
}

s64 update(Run* run, Map& map, const void* key, const void* value, u64 flags) {
  if ((flags & ~u64{BPF_F_LOCK}) > BPF_EXIST) return -EINVAL;
  void* to = lookup(run, map, key);
  if (!to) return -E2BIG;
  if (flags & BPF_NOEXIST) return -EEXIST;
  if (flags & BPF_F_LOCK) return -EINVAL;
  copy_value_in(map, to, value);
  free_fields(map, to);
  return 0;
}

// User space sees the padding between values too.
s64 update_value(Run* run, Map& map, const void* key, const void* value, u64 flags) {
  if (flags > BPF_EXIST) return -EINVAL;
  if (load<u32>(key) >= map.max_entries) return -E2BIG;
  if (flags == BPF_NOEXIST) return -EEXIST;
  u64 stride = value_stride(map);
  for (u32 cpu = 0; cpu < map.cpus; ++cpu) {
    const u8* from = static_cast<const u8*>(value) + cpu * stride;
    u8* to = static_cast<u8*>(lookup_percpu(run, map, key, cpu));
    copy_value_in(map, to, from);
    free_fields(map, to);
    __builtin_memcpy(to + map.value_size, from + map.value_size, stride - map.value_size);
  }
  return 0;
}

s64 copy_value(Run* run, Map& map, const void* key, void* value) {
  if (load<u32>(key) >= map.max_entries) return -ENOENT;
  u64 stride = value_stride(map);
  for (u32 cpu = 0; cpu < map.cpus; ++cpu) {
    const u8* from = static_cast<const u8*>(lookup_percpu(run, map, key, cpu));
    u8* to = static_cast<u8*>(value) + cpu * stride;
    copy_value_out(map, to, from);
    __builtin_memcpy(to + map.value_size, from + map.value_size, stride - map.value_size);
  }
  return 0;
}

s64 for_each(Run* run, Map& map, MapCallback callback, u64 context, u64 flags) {
  if (flags != 0) return -EINVAL;
  s64 seen = 0;
  for (u32 index = 0; index < map.max_entries; ++index) {
    ++seen;
    u32 key = index;
    u64 value = reinterpret_cast<u64>(lookup(run, map, &key));
    breathe(run);
    if (callback(reinterpret_cast<u64>(&map), reinterpret_cast<u64>(&key), value, context, 0, run)) break;
  }
  return seen;
}

}  // namespace

const MapOps percpu_array_ops = {.alloc_check = array_alloc_check,
                                 .footprint = footprint,
                                 .committed = committed,
                                 .init = init,
                                 .lookup = lookup,
                                 .update = update,
                                 .erase = refuse_key<-EINVAL>,
                                 .lookup_percpu = lookup_percpu,
                                 .for_each = for_each,
                                 .get_next_key = array_get_next_key,
                                 .copy_value = copy_value,
                                 .update_value = update_value,
                                 .at_place = array_at_place,
                                 .next_place = array_next_place,
                                 .btf = BtfRule::kArrayIndex,
                                 .batches = kBatchLookup | kBatchUpdate,
                                 .per_cpu = true};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_ARRAY, and the layout that all arrays share.
#include "emu/runtime/maps/array.h"

#include "emu/arena/layout.h"
#include "emu/runtime/maps/map_passing.h"
#include "emu/runtime/maps/types.h"

namespace bpfemu {

namespace {

constexpr u32 kArrayFlags = BPF_F_NUMA_NODE | BPF_F_MMAPABLE | kAccessMask | BPF_F_PRESERVE_ELEMS | BPF_F_INNER_MAP;

constexpr u64 kHeadSize = round_up(sizeof(ArrayMap), 64);
static_assert(kHeadSize <= kPageSize);

u64 plane_size(u64 entries, u64 element, bool per_cpu) {
  return round_up(entries * element, per_cpu ? 64 : 8);
}

// Of all planes.
u64 values_size(const MapAttr& attr, u64 element, u64 planes) {
  u64 size;
  return __builtin_mul_overflow(plane_size(attr.max_entries, element, planes != 1), planes, &size) ? kNever : size;
}

u64 footprint(const MapAttr& attr) {
  return array_footprint(attr, round_up(attr.value_size, 8), 1);
}
u64 committed(const MapAttr& attr) {
  return array_committed(attr, round_up(attr.value_size, 8), 1);
}
void init(Map& map) {
  array_init(map, value_stride(map));
}

void* lookup(Run*, Map& base, const void* key) {
  ArrayMap& map = static_cast<ArrayMap&>(base);
  u32 index = load<u32>(key);
  return index < map.max_entries ? map.value(index) : nullptr;
}

s64 put(Run* run, Map& map, const void* key, const void* value, u64 flags) {
  if ((flags & ~u64{BPF_F_LOCK}) > BPF_EXIST) return -EINVAL;
  void* to = lookup(run, map, key);
  if (!to) return -E2BIG;
  if (flags & BPF_NOEXIST) return -EEXIST;
  if (flags & BPF_F_LOCK) {
    if (map.spin_lock_offset < 0) return -EINVAL;
    copy_value_in_locked(run, map, to, value);
  } else {
    copy_value_in(map, to, value);
  }
  free_fields(map, to);
  return 0;
}

s64 update(Run* run, Map& map, const void* key, const void* value, u64 flags) {
  RuntimePassing passing = pass(run, map, RuntimeFunction::array_map_update_elem, key, value, flags);
  return passing.leave(put(run, map, key, value, flags));
}

s64 erase(Run* run, Map& map, const void* key) {
  RuntimePassing passing = pass(run, map, RuntimeFunction::array_map_delete_elem, key);
  return passing.leave(s64{-EINVAL});
}

s64 for_each(Run* run, Map& base, MapCallback callback, u64 context, u64 flags) {
  if (flags != 0) return -EINVAL;
  ArrayMap& map = static_cast<ArrayMap&>(base);
  s64 seen = 0;
  for (u32 index = 0; index < map.max_entries; ++index) {
    ++seen;
    u32 key = index;
    u64 value = reinterpret_cast<u64>(map.value(index));
    breathe(run);
    if (callback(reinterpret_cast<u64>(&base), reinterpret_cast<u64>(&key), value, context, 0, run)) break;
  }
  return seen;
}

s64 copy_value(Run* run, Map& map, const void* key, void* value) {
  RuntimePassing passing = pass(run, map, RuntimeFunction::array_map_lookup_elem, key);
  const void* from = passing.leave(lookup(run, map, key));
  if (!from) return -ENOENT;
  copy_value_out(map, value, from);
  return 0;
}

s64 direct_value(Map& map, u64 offset, u64* address) {
  if (map.max_entries != 1) return -ENOTSUPP;
  if (offset >= map.value_size) return -EINVAL;
  *address = reinterpret_cast<u64>(static_cast<ArrayMap&>(map).value(0));
  return 0;
}

s64 mmap_area(Map& map, u64* offset, u64* length) {
  if (!(map.flags & BPF_F_MMAPABLE)) return -EINVAL;
  *offset = map.values_at;
  *length = map.values_size;
  return 0;
}

}  // namespace

s64 array_alloc_check(const MapAttr& attr) {
  bool per_cpu = attr.type == BPF_MAP_TYPE_PERCPU_ARRAY;
  if (attr.max_entries == 0 || attr.key_size != 4 || attr.value_size == 0 || (attr.flags & ~kArrayFlags) ||
      !access_ok(attr.flags) || (per_cpu && (attr.flags & BPF_F_NUMA_NODE))) {
    return -EINVAL;
  }
  if (attr.type != BPF_MAP_TYPE_ARRAY && (attr.flags & (BPF_F_MMAPABLE | BPF_F_INNER_MAP))) return -EINVAL;
  if (attr.type != BPF_MAP_TYPE_PERF_EVENT_ARRAY && (attr.flags & BPF_F_PRESERVE_ELEMS)) return -EINVAL;
  if (attr.value_size > 0x7fffffff) return -E2BIG;
  if (per_cpu && round_up(attr.value_size, 8) > kPerCpuUnitMin) return -E2BIG;
  // Without the privilege to bypass Spectre v1 masking the size is rounded up to a power of two, which must fit.
  if (!attr.privileged && round_up_power_of_two(attr.max_entries) > 0xffffffff) return -E2BIG;
  return 0;
}

u64 array_footprint(const MapAttr& attr, u64 element, u64 planes) {
  const u64 size = values_size(attr, element, planes);
  if (size == kNever) return kNever;
  return has_trait(attr.type, kWriteInside) ? kPageSize + round_up(size, kPageSize) : kHeadSize + size;
}

// The kernel has values on pages of their own to map them alone.
u64 array_committed(const MapAttr& attr, u64 element, u64 planes) {
  const u64 size = values_size(attr, element, planes);
  return size == kNever ? kNever : (attr.flags & BPF_F_MMAPABLE ? kPageSize : kHeadSize) + size;
}

void array_init(Map& base, u64 element) {
  ArrayMap& map = static_cast<ArrayMap&>(base);
  const bool per_cpu = map_ops(map.type)->per_cpu;
  map.stride = static_cast<u32>(element);
  map.plane = plane_size(map.max_entries, element, per_cpu);
  map.values = kHeadSize;
  if (!has_trait(map, kWriteInside)) return;
  map.values = map.values_at = kPageSize;
  map.values_size = round_up(map.plane * (per_cpu ? map.cpus : 1), kPageSize);
}

s64 array_get_next_key(Map& map, const void* key, void* next) {
  u32 index = key ? load<u32>(key) : ~u32{0};
  if (index >= map.max_entries) {
    store(next, u32{0});
    return 0;
  }
  if (index == map.max_entries - 1) return -ENOENT;
  store(next, index + 1);
  return 0;
}

bool array_at_place(Map& map, MapPlace& place) {
  if (place.bucket >= map.max_entries) return false;
  place.key = &place.bucket;
  place.value = static_cast<ArrayMap&>(map).value(place.bucket);
  return true;
}

bool array_next_place(Map& map, MapPlace& place) {
  if (place.bucket < map.max_entries) ++place.bucket;
  return array_at_place(map, place);
}

const MapOps array_ops = {.alloc_check = array_alloc_check,
                          .footprint = footprint,
                          .committed = committed,
                          .init = init,
                          .lookup = lookup,
                          .update = update,
                          .erase = erase,
                          .for_each = for_each,
                          .get_next_key = array_get_next_key,
                          .copy_value = copy_value,
                          .update_value = update,
                          .at_place = array_at_place,
                          .next_place = array_next_place,
                          .direct_value = direct_value,
                          .mmap_area = mmap_area,
                          .btf = BtfRule::kArrayIndex,
                          .batches = kBatchLookup | kBatchUpdate,
                          .inner_max_entries = true};

}  // namespace bpfemu

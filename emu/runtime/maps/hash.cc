// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_HASH and BPF_MAP_TYPE_LRU_HASH.
#include "emu/runtime/maps/hash_table.h"
#include "emu/runtime/maps/types.h"

namespace bpfemu {

namespace {

s64 alloc_check(const MapAttr& attr) {
  return hash_alloc_check(attr, false);
}
u64 footprint(const MapAttr& attr) {
  return hash_footprint(attr, round_up(attr.value_size, 8));
}
u64 committed(const MapAttr& attr) {
  return hash_committed(attr, round_up(attr.value_size, 8));
}
void init(Map& map) {
  hash_init(map, value_stride(map));
}

// Kernel: __htab_map_lookup_elem, which programs call directly.
HashElement* find(Run* run, HashMap& map, const void* key) {
  RuntimePassing passing = pass(run, map, RuntimeFunction::__htab_map_lookup_elem, key);
  return passing.leave(hash_find(map, key));
}

void* lookup(Run* run, Map& base, const void* key) {
  HashMap& map = static_cast<HashMap&>(base);
  HashElement* e = find(run, map, key);
  return e ? map.value(e) : nullptr;
}

void* lookup_lru(Run* run, Map& base, const void* key) {
  HashMap& map = static_cast<HashMap&>(base);
  HashElement* e = find(run, map, key);
  if (!e) return nullptr;
  hash_mark_used(map, e);
  return map.value(e);
}

s64 replace(Run* run, HashMap& map, const void* key, const void* value, u64 flags) {
  // Elements that were made with the map are not made anew: who holds one that is free may have written to it.
  return hash_replace(run, map, key, flags, [&](void* to) {
    map.flags & BPF_F_NO_PREALLOC ? copy_value_out(map, to, value) : copy_value_in(map, to, value);
  });
}

s64 put(Run* run, Map& base, const void* key, const void* value, u64 flags) {
  if ((flags & ~u64{BPF_F_LOCK}) > BPF_EXIST) return -EINVAL;
  HashMap& map = static_cast<HashMap&>(base);
  if (flags & BPF_F_LOCK) {
    if (map.spin_lock_offset < 0) return -EINVAL;
    HashElement* e = hash_find(map, key);
    if (s64 error = check_update(e, flags)) return error;
    if (e) {
      copy_value_in_locked(run, map, map.value(e), value);
      return 0;
    }
  }
  return replace(run, map, key, value, flags);
}

s64 update(Run* run, Map& map, const void* key, const void* value, u64 flags) {
  RuntimePassing passing = pass(run, map, RuntimeFunction::htab_map_update_elem, key, value, flags);
  return passing.leave(put(run, map, key, value, flags));
}

s64 update_lru(Run* run, Map& map, const void* key, const void* value, u64 flags) {
  RuntimePassing passing = pass(run, map, RuntimeFunction::htab_lru_map_update_elem, key, value,
                         flags);
  if (flags > BPF_EXIST) return passing.leave(s64{-EINVAL});
  return passing.leave(replace(run, static_cast<HashMap&>(map), key, value, flags));
}

// Kernel: htab_map_lookup_elem and htab_lru_map_lookup_elem_sys, into which the one that programs call is built.
s64 copy_value(Run* run, Map& base, const void* key, void* value) {
  HashMap& map = static_cast<HashMap&>(base);
  const auto function =
      is_lru(map) ? RuntimeFunction::htab_lru_map_lookup_elem_sys : RuntimeFunction::htab_map_lookup_elem;
  RuntimePassing passing = pass(run, map, function, key);
  HashElement* e = hash_find(map, key);
  passing.leave(e ? map.value(e) : nullptr);
  if (!e) return -ENOENT;
  copy_value_out(map, value, map.value(e));
  return 0;
}

constexpr MapOps ops(decltype(lookup)* look, decltype(update)* put) {
  return {.alloc_check = alloc_check,
          .footprint = footprint,
          .committed = committed,
          .init = init,
          .lookup = look,
          .update = put,
          .erase = hash_erase,
          .for_each = hash_for_each,
          .get_next_key = hash_get_next_key,
          .copy_value = copy_value,
          .update_value = put,
          .lookup_and_delete = hash_lookup_and_delete,
          .bucket_count = hash_bucket_count,
          .copy_bucket = hash_copy_bucket,
          .at_place = hash_at_place,
          .next_place = hash_next_place,
          .batches = kBatchLookup | kBatchUpdate | kBatchDelete | kBatchLookupAndDelete};
}

}  // namespace

const MapOps hash_ops = ops(lookup, update);
const MapOps lru_hash_ops = ops(lookup_lru, update_lru);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_HASH_OF_MAPS: a hash whose values are inner maps.
#include "emu/runtime/maps/hash_table.h"
#include "emu/runtime/maps/types.h"

namespace bpfemu {

namespace {

s64 alloc_check(const MapAttr& attr) {
  return attr.value_size != 4 ? -EINVAL : hash_alloc_check(attr, false);
}
u64 footprint(const MapAttr& attr) {
  return hash_footprint(attr, sizeof(Map*));
}
u64 committed(const MapAttr& attr) {
  return hash_committed(attr, sizeof(Map*));
}
void init(Map& map) {
  hash_init(map, sizeof(Map*));
}

Map* inner(Map& base, const void* key) {
  HashMap& map = static_cast<HashMap&>(base);
  HashElement* e = hash_find(map, key);
  return e ? load<Map*>(map.value(e)) : nullptr;
}

void* lookup(Run*, Map& map, const void* key) {
  return inner(map, key);
}

s64 copy_value(Run*, Map& map, const void* key, void* value) {
  Map* found = inner(map, key);
  if (!found) return -ENOENT;
  store(value, found->id);
  return 0;
}

s64 exchange(Map& base, const void* key, u64 address, u64 flags, u64* old) {
  HashMap& map = static_cast<HashMap&>(base);
  *old = reinterpret_cast<u64>(inner(map, key));
  if (!address) return hash_erase(nullptr, map, key);
  if (flags > BPF_EXIST) return -EINVAL;
  return hash_replace(nullptr, map, key, flags, [&](void* to) { store(to, address); });
}

}  // namespace

const MapOps hash_of_maps_ops = {.alloc_check = alloc_check,
                                 .footprint = footprint,
                                 .committed = committed,
                                 .init = init,
                                 .lookup = lookup,
                                 .get_next_key = hash_get_next_key,
                                 .copy_value = copy_value,
                                 .exchange = exchange,
                                 .bucket_count = hash_bucket_count,
                                 .copy_bucket = hash_copy_bucket,
                                 .elements = ElementKind::kMap,
                                 .btf = BtfRule::kNone,
                                 .batches = kBatchLookup | kBatchUpdate | kBatchDelete | kBatchLookupAndDelete,
                                 .can_be_inner = false};

}  // namespace bpfemu

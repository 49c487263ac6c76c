// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_PERCPU_HASH and BPF_MAP_TYPE_LRU_PERCPU_HASH: an element holds one value per possible CPU.
#include "emu/runtime/maps/hash_table.h"
#include "emu/runtime/maps/types.h"

namespace bpfemu {

namespace {

s64 alloc_check(const MapAttr& attr) {
  return hash_alloc_check(attr, true);
}
u64 footprint(const MapAttr& attr) {
  return hash_footprint(attr, attr.cpus * round_up(attr.value_size, 8));
}
u64 committed(const MapAttr& attr) {
  return hash_committed(attr, attr.cpus * round_up(attr.value_size, 8));
}
void init(Map& map) {
  hash_init(map, map.cpus * value_stride(map));
}

void* lookup_percpu(Run*, Map& base, const void* key, u32 cpu) {
  HashMap& map = static_cast<HashMap&>(base);
  if (cpu >= map.cpus) return nullptr;
  HashElement* e = hash_find(map, key);
  if (!e) return nullptr;
  hash_mark_used(map, e);
  return map.value(e) + cpu * value_stride(map);
}

void* lookup(Run* run, Map& map, const void* key) {
  return lookup_percpu(run, map, key, current_cpu(run));
}

// From a program: only this CPU's value; those of a new element start as zero elsewhere (kernel: pcpu_init_value).
s64 update(Run* run, Map& base, const void* key, const void* value, u64 flags) {
  if (flags > BPF_EXIST) return -EINVAL;
  HashMap& map = static_cast<HashMap&>(base);
  return hash_modify(run, map, key, flags, [&](u8* values, bool is_new) {
    if (is_new) __builtin_memset(values, 0, map.cpus * value_stride(map));
    __builtin_memcpy(values + current_cpu(run) * value_stride(map), value, map.value_size);
  });
}

s64 update_value(Run* run, Map& base, const void* key, const void* value, u64 flags) {
  if (flags > BPF_EXIST) return -EINVAL;
  HashMap& map = static_cast<HashMap&>(base);
  return hash_modify(run, map, key, flags,
                     [&](u8* values, bool) { __builtin_memcpy(values, value, map.cpus * value_stride(map)); });
}

s64 copy_value(Run*, Map& base, const void* key, void* value) {
  HashMap& map = static_cast<HashMap&>(base);
  HashElement* e = hash_find(map, key);
  if (!e) return -ENOENT;
  __builtin_memcpy(value, map.value(e), map.cpus * value_stride(map));
  return 0;
}

constexpr MapOps kOps = {.alloc_check = alloc_check,
                         .footprint = footprint,
                         .committed = committed,
                         .init = init,
                         .lookup = lookup,
                         .update = update,
                         .erase = hash_erase,
                         .lookup_percpu = lookup_percpu,
                         .for_each = hash_for_each,
                         .get_next_key = hash_get_next_key,
                         .copy_value = copy_value,
                         .update_value = update_value,
                         .lookup_and_delete = hash_lookup_and_delete,
                         .bucket_count = hash_bucket_count,
                         .copy_bucket = hash_copy_bucket,
                         .at_place = hash_at_place,
                         .next_place = hash_next_place,
                         .batches = kBatchLookup | kBatchUpdate | kBatchDelete | kBatchLookupAndDelete,
                         .per_cpu = true};

}  // namespace

const MapOps percpu_hash_ops = kOps;
const MapOps lru_percpu_hash_ops = kOps;

}  // namespace bpfemu

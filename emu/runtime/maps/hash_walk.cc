// SPDX-License-Identifier: Apache-2.0
// Walks over hash tables: by key, by bucket, and by place.
#include "emu/runtime/maps/hash_table.h"

namespace bpfemu {

namespace {

// From a link on, the first element that is there; null: none of the bucket's.
HashElement* first_there(HashMap& map, HashLink link) {
  for (; !HashMap::is_end(link); link = map.element(link)->next)
    if (HashElement* const e = map.element(link); map.is_there(e)) return e;
  return nullptr;
}

}  // namespace

s64 hash_get_next_key(Map& base, const void* key, void* next) {
  HashMap& map = static_cast<HashMap&>(base);
  u64 bucket = 0;
  HashElement* found = nullptr;
  // A key that is not there starts from the beginning.
  if (key) {
    u32 hash = jhash(key, map.key_size, map.seed);
    if (HashElement* e = hash_find(map, key, hash)) {
      found = first_there(map, e->next);
      bucket = u64{hash & map.bucket_mask} + 1;
    }
  }
  for (; !found && bucket <= map.bucket_mask; ++bucket)
    found = first_there(map, map.bucket(static_cast<u32>(bucket)).first);
  if (!found) return -ENOENT;
  __builtin_memcpy(next, map.key(found), map.key_size);
  return 0;
}

u32 hash_bucket_count(Map& map) {
  return static_cast<HashMap&>(map).bucket_mask + 1;
}

u32 hash_copy_bucket(Run* run, Map& base, u32 bucket_index, void* keys, void* values, u32 room) {
  HashMap& map = static_cast<HashMap&>(base);
  HashBucket& bucket = map.bucket(bucket_index);
  u32 count = 0;
  for (HashElement* e = first_there(map, bucket.first); e; e = first_there(map, e->next)) ++count;
  if (count > room) return count;
  const MapOps& ops = *map_ops(map.type);
  u8 *key = static_cast<u8*>(keys), *value = static_cast<u8*>(values);
  u32 copied = 0;  // they may have become fewer, or more
  for (HashElement* e = first_there(map, bucket.first); e && copied < room; e = first_there(map, e->next)) {
    __builtin_memcpy(key, map.key(e), map.key_size);
    if (ops.copy_value(run, map, key, value) != 0) continue;
    key += map.key_size;
    value += user_value_size(map);
    ++copied;
  }
  return copied;
}

namespace {

bool show_place(HashMap& map, MapPlace& place, HashElement* e) {
  place.element = e;
  place.key = map.key(e);
  place.value = map.value(e);
  return true;
}

}  // namespace

// kernel: bpf_hash_map_seq_find_next.
bool hash_at_place(Map& base, MapPlace& place) {
  HashMap& map = static_cast<HashMap&>(base);
  for (; place.bucket <= map.bucket_mask; ++place.bucket, place.skipped = 0) {
    u32 count = 0;
    for (HashElement* e = first_there(map, map.bucket(place.bucket).first); e; e = first_there(map, e->next)) {
      if (count++ == place.skipped) return show_place(map, place, e);
    }
  }
  return false;
}

bool hash_next_place(Map& base, MapPlace& place) {
  HashMap& map = static_cast<HashMap&>(base);
  ++place.skipped;
  // The program may have deleted the element: what follows is its own next.
  if (HashElement* const e = first_there(map, static_cast<const HashElement*>(place.element)->next))
    return show_place(map, place, e);
  ++place.bucket;
  place.skipped = 0;
  return hash_at_place(map, place);
}

s64 hash_for_each(Run* run, Map& base, MapCallback callback, u64 context, u64 flags) {
  if (flags != 0) return -EINVAL;
  HashMap& map = static_cast<HashMap&>(base);
  u64 cpu_offset = map_ops(map.type)->per_cpu ? current_cpu(run) * value_stride(map) : 0;
  s64 seen = 0;
  for (u64 bucket = 0; bucket <= map.bucket_mask; ++bucket) {
    HashLink next;
    for (HashLink link = map.bucket(static_cast<u32>(bucket)).first; !HashMap::is_end(link); link = next) {
      HashElement* e = map.element(link);
      next = e->next;  // the callback may delete the element
      if (!map.is_there(e)) continue;
      ++seen;
      u64 key = reinterpret_cast<u64>(map.key(e)), value = reinterpret_cast<u64>(map.value(e)) + cpu_offset;
      breathe(run);
      if (callback(reinterpret_cast<u64>(&base), key, value, context, 0, run)) return seen;
    }
  }
  return seen;
}

}  // namespace bpfemu

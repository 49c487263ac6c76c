// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/maps/object_storage.h"

#include "emu/runtime/maps/hash_table.h"
#include "emu/runtime/maps/local_storage.h"
#include "emu/runtime/maps/types.h"

namespace bpfemu {

namespace {

constexpr u32 kMostOwners = 1 << 18;  // as many objects of a struct as are kept (ObjectSpace::kMostKept)

// Behind the head that everybody sees there is a hash table by owner.
constexpr u64 kTableAt = round_up(sizeof(Map), 64);

HashMap& table_of(Map& map) {
  return *reinterpret_cast<HashMap*>(reinterpret_cast<u8*>(&map) + kTableAt);
}

MapAttr table_attr(const MapAttr& attr) {
  return {.type = attr.type,
          .key_size = sizeof(u64),
          .value_size = attr.value_size,
          .max_entries = kMostOwners,
          .flags = BPF_F_NO_PREALLOC,
          .extra = 0,
          .cpus = attr.cpus,
          .privileged = true};
}

u64 footprint(const MapAttr& attr) {
  return kTableAt + hash_footprint(table_attr(attr), round_up(attr.value_size, 8));
}
// The kernel's has a bucket or two for each CPU.
u64 committed(const MapAttr&) {
  return kTableAt + sizeof(HashMap);
}

void init(Map& map) {
  HashMap& table = table_of(map);
  table.type = map.type;
  table.key_size = sizeof(u64);
  table.value_size = map.value_size;
  table.max_entries = kMostOwners;
  table.flags = BPF_F_NO_PREALLOC;
  table.cpus = map.cpus;
  table.spin_lock_offset = table.timer_offset = -1;
  hash_init(table, round_up(map.value_size, 8));
}

void* value_of(Map& map, u64 owner) {
  HashMap& table = table_of(map);
  HashElement* e = hash_find(table, &owner);
  return e ? table.value(e) : nullptr;
}

// In calls on behalf of bpf() a key is the address of the owner's.
u64 owner_at(const void* key) {
  return load<u64>(key);
}

s64 update(Run* run, Map& map, const void* key, const void* value, u64 flags) {
  if ((flags & ~u64{BPF_F_LOCK}) > BPF_EXIST) return -EINVAL;
  if ((flags & BPF_F_LOCK) && map.spin_lock_offset < 0) return -EINVAL;
  const u64 owner = owner_at(key);
  void* old = value_of(map, owner);
  if (s64 error = check_update(old, flags)) return error;
  if (old && (flags & BPF_F_LOCK)) {
    copy_value_in_locked(run, map, old, value);
    return 0;
  }
  const s64 error =
      hash_replace(run, table_of(map), &owner, BPF_ANY, [&](void* to) { copy_value_out(map, to, value); });
  return error == -E2BIG ? -ENOMEM : error;
}

s64 copy_value(Run*, Map& map, const void* key, void* to) {
  const void* value = value_of(map, owner_at(key));
  if (!value) return -ENOENT;
  copy_value_out(map, to, value);
  return 0;
}

s64 erase(Run* run, Map& map, const void* key) {
  return storage_erase(run, map, owner_at(key));
}

}  // namespace

void* storage_find(Map& map, u64 owner) {
  return value_of(map, owner);
}

void* storage_create(Run* run, Map& map, u64 owner, const void* initial) {
  const s64 error = hash_replace(run, table_of(map), &owner, BPF_NOEXIST, [&](void* to) {
    __builtin_memset(to, 0, map.value_size);
    if (initial) copy_value_out(map, to, initial);
  });
  return error && error != -EEXIST ? nullptr : value_of(map, owner);
}

u32 storage_count(Map& map) { return table_of(map).count; }

u64 storage_next(Map& map, u64 owner) {
  u64 next = 0;
  return hash_get_next_key(table_of(map), owner ? &owner : nullptr, &next) == 0 ? next : 0;
}

s64 storage_erase(Run* run, Map& map, u64 owner) {
  return hash_erase(run, table_of(map), &owner);
}

const MapOps object_storage_ops = {.alloc_check = local_storage_alloc_check,
                                   .footprint = footprint,
                                   .committed = committed,
                                   .init = init,
                                   .erase = erase,
                                   .get_next_key = refuse_next<-ENOTSUPP>,
                                   .copy_value = copy_value,
                                   .update_value = update,
                                   .btf = BtfRule::kIntKey};

}  // namespace bpfemu

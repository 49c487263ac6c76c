// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_CPUMAP, DEVMAP and DEVMAP_HASH: where XDP programs redirect packets to. They hold their values; no
// packet is ever redirected.
#include "emu/runtime/maps/array.h"
#include "emu/runtime/maps/hash_table.h"
#include "emu/runtime/maps/redirect.h"
#include "emu/runtime/maps/types.h"

namespace bpfemu {

namespace {

constexpr u32 kNrCpus = 8192;  // CONFIG_NR_CPUS

using Target = RedirectTarget;

Target target(const Map& map, const void* value) {
  Target t{};
  __builtin_memcpy(&t, value, map.value_size);
  return t;
}

bool target_size(u32 size) {
  return size == sizeof(u32) || size == sizeof(Target);
}

s64 cpumap_alloc_check(const MapAttr& attr) {
  if (!attr.privileged) return -EPERM;
  if (attr.max_entries == 0 || attr.key_size != 4 || !target_size(attr.value_size) || (attr.flags & ~BPF_F_NUMA_NODE)) {
    return -EINVAL;
  }
  return attr.max_entries > kNrCpus ? -E2BIG : 0;
}

s64 devmap_alloc_check(const MapAttr& attr) {
  if (!attr.privileged) return -EPERM;
  if (attr.max_entries == 0 || attr.key_size != 4 || !target_size(attr.value_size) ||
      (attr.flags & ~(BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY))) {
    return -EINVAL;
  }
  return attr.type == BPF_MAP_TYPE_DEVMAP_HASH && attr.max_entries > u64{1} << 31 ? -EINVAL : 0;
}

u64 footprint(const MapAttr& attr) {
  return array_footprint(attr, sizeof(Target), 1);
}
void init_cpumap(Map& map) {
  array_init(map, sizeof(Target));
}
// Lookups give the stored index itself, which programs must not write.
void init_devmap(Map& map) {
  map.flags |= BPF_F_RDONLY_PROG;
  array_init(map, sizeof(Target));
}

void* lookup(Run*, Map& base, const void* key) {
  ArrayMap& map = static_cast<ArrayMap&>(base);
  u32 index = load<u32>(key);
  return index < map.max_entries && load<Target>(map.value(index)).where ? map.value(index) : nullptr;
}

s64 copy_value(Run* run, Map& map, const void* key, void* value) {
  const void* from = map_ops(map.type)->lookup(run, map, key);
  if (!from) return -ENOENT;
  __builtin_memcpy(value, from, map.value_size);
  return 0;
}

s64 check_index(const Map& map, const void* key, u64 flags) {
  if (flags > BPF_EXIST) return -EINVAL;
  if (load<u32>(key) >= map.max_entries) return -E2BIG;
  return flags == BPF_NOEXIST ? -EEXIST : 0;
}

s64 update_cpumap(Run*, Map& base, const void* key, const void* value, u64 flags) {
  ArrayMap& map = static_cast<ArrayMap&>(base);
  Target t = target(map, value);
  if (s64 error = check_index(map, key, flags)) return error;
  if (t.where > kMaxCpuQueue) return -EOVERFLOW;
  if (load<u32>(key) >= map.cpus) return -ENODEV;
  if (!t.where) t = {};
  if (t.program == kNoTargetProgram) return -ENOMEM;  // what the kernel says to any descriptor that is no CPUMAP program
  store(map.value(load<u32>(key)), t);
  return 0;
}

s64 update_devmap(Run*, Map& base, const void* key, const void* value, u64 flags) {
  ArrayMap& map = static_cast<ArrayMap&>(base);
  Target t = target(map, value);
  if (s64 error = check_index(map, key, flags)) return error;
  if (t.program == kNoTargetProgram) return -EINVAL;
  store(map.value(load<u32>(key)), t);
  return 0;
}

s64 erase(Run*, Map& base, const void* key) {
  ArrayMap& map = static_cast<ArrayMap&>(base);
  if (load<u32>(key) >= map.max_entries) return -EINVAL;
  store(map.value(load<u32>(key)), Target{});
  return 0;
}

u64 hash_target_footprint(const MapAttr& attr) {
  return hash_footprint(attr, sizeof(Target));
}
void init_devmap_hash(Map& map) {
  map.flags |= BPF_F_RDONLY_PROG;
  hash_init(map, sizeof(Target));
}

void* lookup_devmap_hash(Run*, Map& base, const void* key) {
  HashMap& map = static_cast<HashMap&>(base);
  HashElement* e = hash_find(map, key);
  return e ? map.value(e) : nullptr;
}

s64 update_devmap_hash(Run* run, Map& base, const void* key, const void* value, u64 flags) {
  HashMap& map = static_cast<HashMap&>(base);
  Target t = target(map, value);
  if (flags > BPF_EXIST || !t.where) return -EINVAL;
  if (flags == BPF_NOEXIST && hash_find(map, key)) return -EEXIST;
  if (t.program == kNoTargetProgram) return -EINVAL;
  // BPF_EXIST does not ask for the key to be there.
  return hash_replace(run, map, key, BPF_ANY, [&](void* to) { store(to, t); });
}

}  // namespace

const MapOps cpumap_ops = {.alloc_check = cpumap_alloc_check,
                           .footprint = footprint,
                           .init = init_cpumap,
                           .lookup = lookup,
                           .erase = erase,
                           .get_next_key = array_get_next_key,
                           .copy_value = copy_value,
                           .update_value = update_cpumap,
                           .btf = BtfRule::kNone};

const MapOps devmap_ops = {.alloc_check = devmap_alloc_check,
                           .footprint = footprint,
                           .init = init_devmap,
                           .lookup = lookup,
                           .erase = erase,
                           .get_next_key = array_get_next_key,
                           .copy_value = copy_value,
                           .update_value = update_devmap,
                           .btf = BtfRule::kNone};

const MapOps devmap_hash_ops = {.alloc_check = devmap_alloc_check,
                                .footprint = hash_target_footprint,
                                .init = init_devmap_hash,
                                .lookup = lookup_devmap_hash,
                                .erase = hash_erase,
                                .get_next_key = hash_get_next_key,
                                .copy_value = copy_value,
                                .update_value = update_devmap_hash,
                                .btf = BtfRule::kNone};

}  // namespace bpfemu

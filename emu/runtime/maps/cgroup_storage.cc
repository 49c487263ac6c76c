// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_CGROUP_STORAGE and PERCPU_CGROUP_STORAGE: a few elements, which only attaching makes, in a list from new
// to old (kernel: kernel/bpf/local_storage.c).
#include "emu/runtime/maps/cgroup_storage.h"

#include "emu/base/bytes.h"
#include "emu/runtime/maps/types.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxValue = 0xffff - 128;  // BPF_LOCAL_STORAGE_MAX_VALUE_SIZE
constexpr u32 kMostElements = 1024;      // memory is sparse
constexpr u64 kListAt = round_up(sizeof(Map), 64);

// Links are an element's index + 1, 0 ends a list.
struct StorageList {
  u32 newest, free, fresh;  // `fresh`: how many were ever used
};
struct StorageElement {
  u64 cgroup;
  u32 attach_type, older;
};

bool per_cpu(const Map& map) {
  return map.type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}
u64 value_bytes(u32 type, u32 value_size, u32 cpus) {
  return round_up(value_size, 8) * (type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE ? cpus : 1);
}
u64 stride(const Map& map) {
  return sizeof(StorageElement) + value_bytes(map.type, map.value_size, map.cpus);
}

StorageList& list_of(Map& map) {
  return *reinterpret_cast<StorageList*>(reinterpret_cast<u8*>(&map) + kListAt);
}
StorageElement* element(Map& map, u32 link) {
  u8* const first = reinterpret_cast<u8*>(&map) + kListAt + round_up(sizeof(StorageList), 16);
  return reinterpret_cast<StorageElement*>(first + (link - 1) * stride(map));
}
void* value_of(StorageElement* of) {
  return of + 1;
}

// A map whose key is the cgroup's id alone shares a value among all attach types.
bool is_shared(const Map& map) {
  return map.key_size == sizeof(u64);
}
bool has_key(const Map& map, const StorageElement& e, u64 cgroup, u32 attach_type) {
  return e.cgroup == cgroup && (is_shared(map) || e.attach_type == attach_type);
}
u32 attach_type_at(const Map& map, const void* key) {
  return is_shared(map) ? 0 : static_cast<const bpf_cgroup_storage_key*>(key)->attach_type;
}

StorageElement* find(Map& map, u64 cgroup, u32 attach_type) {
  for (u32 link = list_of(map).newest; link; link = element(map, link)->older) {
    StorageElement* const e = element(map, link);
    if (has_key(map, *e, cgroup, attach_type)) return e;
  }
  return nullptr;
}
StorageElement* find(Map& map, const void* key) {
  return find(map, load<u64>(key), attach_type_at(map, key));
}

s64 alloc_check(const MapAttr& attr) {
  bool per_cpu = attr.type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
  if (attr.key_size != sizeof(bpf_cgroup_storage_key) && attr.key_size != sizeof(u64)) return -EINVAL;
  if (attr.value_size == 0) return -EINVAL;
  if (attr.value_size > (per_cpu ? kPerCpuUnitMin : kMaxValue)) return -E2BIG;
  if ((attr.flags & ~(BPF_F_NUMA_NODE | kAccessMask)) || !access_ok(attr.flags)) return -EINVAL;
  return attr.max_entries ? -EINVAL : 0;
}

u64 footprint(const MapAttr& attr) {
  const u64 each = sizeof(StorageElement) + value_bytes(attr.type, attr.value_size, attr.cpus);
  return kListAt + round_up(sizeof(StorageList), 16) + kMostElements * each;
}
u64 committed(const MapAttr&) {
  return sizeof(Map);
}
void init(Map&) {}

s64 update(Run* run, Map& map, const void* key, const void* value, u64 flags) {
  const u64 known = per_cpu(map) ? u64{BPF_EXIST} : u64{BPF_F_LOCK | BPF_EXIST};
  if (flags & ~known) return -EINVAL;
  if ((flags & BPF_F_LOCK) && map.spin_lock_offset < 0) return -EINVAL;
  StorageElement* const e = find(map, key);
  if (!e) return -ENOENT;
  if (per_cpu(map)) {
    __builtin_memcpy(value_of(e), value, value_bytes(map.type, map.value_size, map.cpus));
  } else if (flags & BPF_F_LOCK) {
    copy_value_in_locked(run, map, value_of(e), value);
  } else {
    copy_value_out(map, value_of(e), value);
  }
  return 0;
}

s64 copy_value(Run*, Map& map, const void* key, void* to) {
  StorageElement* const e = find(map, key);
  if (!e) return -ENOENT;
  if (per_cpu(map)) {
    __builtin_memcpy(to, value_of(e), value_bytes(map.type, map.value_size, map.cpus));
  } else {
    copy_value_out(map, to, value_of(e));
  }
  return 0;
}

// Kernel: cgroup_storage_get_next_key.
s64 get_next_key(Map& map, const void* key, void* next) {
  u32 link = list_of(map).newest;
  if (!link) return -ENOENT;
  if (key) {
    const StorageElement* const e = find(map, key);
    if (!e) return -ENOENT;
    link = e->older;
  }
  if (!link) return -ENOENT;
  const StorageElement* const found = element(map, link);
  if (is_shared(map)) {
    store(next, found->cgroup);
  } else {
    bpf_cgroup_storage_key shown = {};
    shown.cgroup_inode_id = found->cgroup;
    shown.attach_type = found->attach_type;
    __builtin_memcpy(next, &shown, sizeof shown);
  }
  return 0;
}

constexpr MapOps ops(bool per_cpu) {
  return {.alloc_check = alloc_check,
          .footprint = footprint,
          .committed = committed,
          .init = init,
          .erase = refuse_key<-EINVAL>,
          .get_next_key = get_next_key,
          .copy_value = copy_value,
          .update_value = update,
          .btf = BtfRule::kCgroupKey,
          .can_be_inner = false,
          .per_cpu = per_cpu};
}

}  // namespace

void* cgroup_storage_of(Map& map, u64 cgroup, u32 attach_type) {
  if (StorageElement* const known = find(map, cgroup, attach_type)) return value_of(known);
  StorageList& list = list_of(map);
  u32 link = list.free;
  if (link) {
    list.free = element(map, link)->older;
  } else {
    if (list.fresh == kMostElements) return nullptr;
    link = ++list.fresh;
  }
  StorageElement* const e = element(map, link);
  __builtin_memset(e, 0, stride(map));
  e->cgroup = cgroup;
  e->attach_type = attach_type;
  e->older = list.newest;
  list.newest = link;
  return value_of(e);
}

void cgroup_storage_forget(Map& map, u64 cgroup) {
  StorageList& list = list_of(map);
  for (u32* at = &list.newest; *at;) {
    const u32 link = *at;
    StorageElement* const e = element(map, link);
    if (e->cgroup != cgroup) {
      at = &e->older;
      continue;
    }
    *at = e->older;
    e->older = list.free;
    list.free = link;
  }
}

const MapOps cgroup_storage_ops = ops(false);
const MapOps percpu_cgroup_storage_ops = ops(true);

}  // namespace bpfemu

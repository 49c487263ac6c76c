// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_CGROUP_STORAGE and PERCPU_CGROUP_STORAGE: elements come with programs that are attached to cgroups, and
// there are none here.
#include "emu/runtime/maps/types.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxValue = 0xffff - 128;  // BPF_LOCAL_STORAGE_MAX_VALUE_SIZE

s64 alloc_check(const MapAttr& attr) {
  bool per_cpu = attr.type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
  if (attr.key_size != sizeof(bpf_cgroup_storage_key) && attr.key_size != sizeof(u64)) return -EINVAL;
  if (attr.value_size == 0) return -EINVAL;
  if (attr.value_size > (per_cpu ? kPerCpuUnitMin : kMaxValue)) return -E2BIG;
  if ((attr.flags & ~(BPF_F_NUMA_NODE | kAccessMask)) || !access_ok(attr.flags)) return -EINVAL;
  return attr.max_entries ? -EINVAL : 0;
}

u64 footprint(const MapAttr&) {
  return sizeof(Map);
}
void init(Map&) {}

s64 update(Run*, Map& map, const void*, const void*, u64 flags) {
  u64 known = map_ops(map.type)->per_cpu ? u64{BPF_EXIST} : u64{BPF_F_LOCK | BPF_EXIST};
  return flags & ~known ? -EINVAL : -ENOENT;
}

constexpr MapOps ops(bool per_cpu) {
  return {.alloc_check = alloc_check,
          .footprint = footprint,
          .init = init,
          .erase = refuse_key<-EINVAL>,
          .get_next_key = refuse_next<-ENOENT>,
          .copy_value = refuse_copy<-ENOENT>,
          .update_value = update,
          .can_be_inner = false,
          .per_cpu = per_cpu};
}

}  // namespace

const MapOps cgroup_storage_ops = ops(false);
const MapOps percpu_cgroup_storage_ops = ops(true);

}  // namespace bpfemu

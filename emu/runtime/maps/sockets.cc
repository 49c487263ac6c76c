// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_SOCKMAP, SOCKHASH, XSKMAP and REUSEPORT_SOCKARRAY: no socket is suitable for them here, so they stay
// empty.
#include "emu/runtime/maps/array.h"
#include "emu/runtime/maps/types.h"

namespace bpfemu {

namespace {

constexpr u32 kSocketFlags = BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY;
constexpr u32 kMaxHashKey = 512;               // MAX_BPF_STACK
constexpr u64 kHashBuckets = 0xffffffff / 16;  // of the kernel's struct bpf_shtab_bucket

bool descriptor_size(u32 size) {
  return size == sizeof(u32) || size == sizeof(u64);
}

s64 sockmap_alloc_check(const MapAttr& attr) {
  if (!attr.privileged) return -EPERM;
  if (attr.max_entries == 0 || attr.max_entries > 0x7fffffff || attr.key_size != 4 ||
      !descriptor_size(attr.value_size) || (attr.flags & ~kSocketFlags)) {
    return -EINVAL;
  }
  return 0;
}

s64 sockhash_alloc_check(const MapAttr& attr) {
  if (!attr.privileged) return -EPERM;
  if (attr.max_entries == 0 || attr.key_size == 0 || !descriptor_size(attr.value_size) ||
      (attr.flags & ~kSocketFlags)) {
    return -EINVAL;
  }
  if (attr.key_size > kMaxHashKey) return -E2BIG;
  return round_up_power_of_two(attr.max_entries) > kHashBuckets ? -EINVAL : 0;
}

s64 xskmap_alloc_check(const MapAttr& attr) {
  if (!attr.privileged) return -EPERM;
  if (attr.max_entries == 0 || attr.key_size != 4 || attr.value_size != 4 || (attr.flags & ~kSocketFlags)) {
    return -EINVAL;
  }
  return 0;
}

s64 reuseport_alloc_check(const MapAttr& attr) {
  return descriptor_size(attr.value_size) ? array_alloc_check(attr) : -EINVAL;
}

u64 footprint(const MapAttr&) {
  return sizeof(Map);
}
void init(Map&) {}

// A socket shows as its cookie, for which a value needs eight bytes.
s64 copy_cookie(Run*, Map& map, const void*, void*) {
  return map.value_size == sizeof(u64) ? -ENOENT : -ENOSPC;
}

s64 erase_reuseport(Run*, Map& map, const void* key) {
  return load<u32>(key) >= map.max_entries ? -E2BIG : -ENOENT;
}
s64 erase_xsk(Run*, Map& map, const void* key) {
  return load<u32>(key) >= map.max_entries ? -EINVAL : 0;
}

s64 update_indexed(Run*, Map& map, const void* key, const void*, u64 flags) {
  if (flags > BPF_EXIST) return -EINVAL;
  return load<u32>(key) >= map.max_entries ? -E2BIG : -EOPNOTSUPP;
}

}  // namespace

const MapOps sockmap_ops = {.alloc_check = sockmap_alloc_check,
                            .footprint = footprint,
                            .init = init,
                            .erase = refuse_key<-EINVAL>,
                            .get_next_key = array_get_next_key,
                            .copy_value = copy_cookie,
                            .update_value = refuse_update<-EOPNOTSUPP>,
                            .btf = BtfRule::kNone};

const MapOps sockhash_ops = {.alloc_check = sockhash_alloc_check,
                             .footprint = footprint,
                             .init = init,
                             .erase = refuse_key<-ENOENT>,
                             .get_next_key = refuse_next<-ENOENT>,
                             .copy_value = copy_cookie,
                             .update_value = refuse_update<-EOPNOTSUPP>,
                             .btf = BtfRule::kNone};

const MapOps xskmap_ops = {.alloc_check = xskmap_alloc_check,
                           .footprint = footprint,
                           .init = init,
                           .erase = erase_xsk,
                           .get_next_key = array_get_next_key,
                           .copy_value = refuse_copy<-EOPNOTSUPP>,
                           .update_value = update_indexed,
                           .btf = BtfRule::kNone};

const MapOps reuseport_sockarray_ops = {.alloc_check = reuseport_alloc_check,
                                        .footprint = footprint,
                                        .init = init,
                                        .erase = erase_reuseport,
                                        .get_next_key = array_get_next_key,
                                        .copy_value = copy_cookie,
                                        .update_value = update_indexed};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_SOCKMAP, SOCKHASH and REUSEPORT_SOCKARRAY, which hold sockets (RunSock), and XSKMAP, which stays empty: no
// socket of the model's is an XDP socket. Who puts them in is the control plane, for programs too.
#include "emu/runtime/contexts.h"
#include "emu/runtime/maps/array.h"
#include "emu/runtime/maps/hash_table.h"
#include "emu/runtime/maps/object_array.h"
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

u64 array_of_sockets(const MapAttr& attr) {
  return sizeof(ObjectArray) + u64{attr.max_entries} * sizeof(u64);
}
u64 nothing(const MapAttr&) {
  return sizeof(Map);
}
void init_array(Map&) {}

u64 hash_of_sockets(const MapAttr& attr) {
  return hash_footprint(attr, sizeof(u64));
}
// Elements are allocated when they come.
u64 hash_at_first(const MapAttr& attr) {
  MapAttr grows = attr;
  grows.flags |= BPF_F_NO_PREALLOC;
  return hash_committed(grows, sizeof(u64));
}
void init_hash(Map& map) {
  hash_init(map, sizeof(u64));
}

u64 socket_in_array(Map& map, const void* key) {
  return object_at(map, load<u32>(key));
}
u64 socket_in_hash(Map& base, const void* key) {
  HashMap& map = static_cast<HashMap&>(base);
  HashElement* e = hash_find(map, key);
  return e ? load<u64>(map.value(e)) : 0;
}

template <u64 (*find)(Map&, const void*)>
void* lookup(Run*, Map& map, const void* key) {
  return reinterpret_cast<void*>(find(map, key));
}

// A socket shows as its cookie, for which a value needs eight bytes.
template <u64 (*find)(Map&, const void*)>
s64 copy_cookie(Run*, Map& map, const void* key, void* value) {
  if (map.value_size != sizeof(u64)) return -ENOSPC;
  const auto* sock = reinterpret_cast<const RunSock*>(find(map, key));
  if (!sock) return -ENOENT;
  store(value, sock->cookie);
  return 0;
}

// What is taken out of an empty place is `nothing_there`, out of none `no_place`.
template <s64 no_place, s64 nothing_there>
s64 exchange_in_array(Map& base, const void* key, u64 address, u64 flags, u64* old) {
  ObjectArray& map = static_cast<ObjectArray&>(base);
  const u32 index = load<u32>(key);
  *old = 0;
  if (address && flags > BPF_EXIST) return -EINVAL;
  if (index >= map.max_entries) return address ? -E2BIG : no_place;
  const u64 there = object_at(map, index);
  if (address && there && flags == BPF_NOEXIST) return -EEXIST;
  if (address && !there && flags == BPF_EXIST) return -ENOENT;
  *old = __atomic_exchange_n(&map.slots[index], address, __ATOMIC_ACQ_REL);
  return address || *old ? 0 : nothing_there;
}

s64 exchange_in_hash(Map& base, const void* key, u64 address, u64 flags, u64* old) {
  HashMap& map = static_cast<HashMap&>(base);
  *old = socket_in_hash(map, key);
  if (!address) return hash_erase(nullptr, map, key);
  if (flags > BPF_EXIST) return -EINVAL;
  return hash_replace(nullptr, map, key, flags, [&](void* to) { store(to, address); });
}

// Of programs.
s64 update(Run* run, Map& map, const void* key, const void* value, u64 flags) {
  const TreeSocketServices* maps = run->env->sockets;
  return maps ? maps->put(maps->self, &map, key, reinterpret_cast<u64>(value), flags) : -EOPNOTSUPP;
}
s64 erase(Run* run, Map& map, const void* key) {
  const TreeSocketServices* maps = run->env->sockets;
  return maps ? maps->erase(maps->self, &map, key) : -EOPNOTSUPP;
}

s64 erase_xsk(Run*, Map& map, const void* key) {
  return load<u32>(key) >= map.max_entries ? -EINVAL : 0;
}

}  // namespace

const MapOps sockmap_ops = {.alloc_check = sockmap_alloc_check,
                            .footprint = array_of_sockets,
                            .init = init_array,
                            .lookup = lookup<socket_in_array>,
                            .update = update,
                            .erase = erase,
                            .get_next_key = array_get_next_key,
                            .copy_value = copy_cookie<socket_in_array>,
                            .exchange = exchange_in_array<-EINVAL, -EINVAL>,
                            .elements = ElementKind::kSocket,
                            .btf = BtfRule::kNone};

const MapOps sockhash_ops = {.alloc_check = sockhash_alloc_check,
                             .footprint = hash_of_sockets,
                             .committed = hash_at_first,
                             .init = init_hash,
                             .lookup = lookup<socket_in_hash>,
                             .update = update,
                             .erase = erase,
                             .get_next_key = hash_get_next_key,
                             .copy_value = copy_cookie<socket_in_hash>,
                             .exchange = exchange_in_hash,
                             .elements = ElementKind::kSocket,
                             .btf = BtfRule::kNone};

const MapOps xskmap_ops = {.alloc_check = xskmap_alloc_check,
                           .footprint = nothing,
                           .init = init_array,
                           .erase = erase_xsk,
                           .get_next_key = array_get_next_key,
                           .copy_value = refuse_copy<-EOPNOTSUPP>,
                           .btf = BtfRule::kNone};

const MapOps reuseport_sockarray_ops = {.alloc_check = reuseport_alloc_check,
                                        .footprint = array_of_sockets,
                                        .init = init_array,
                                        .lookup = lookup<socket_in_array>,
                                        .get_next_key = array_get_next_key,
                                        .copy_value = copy_cookie<socket_in_array>,
                                        .exchange = exchange_in_array<-E2BIG, -ENOENT>,
                                        .elements = ElementKind::kSocket};

}  // namespace bpfemu

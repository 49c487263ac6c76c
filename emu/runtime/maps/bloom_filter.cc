// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_BLOOM_FILTER: a bit set; map_extra is the number of hash functions.
#include "emu/runtime/maps/jhash.h"
#include "emu/runtime/maps/types.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

constexpr u32 kDefaultHashes = 5;

struct BloomMap : Map {
  u32 mask;  // number of bits - 1
  u32 hashes;
  u64 bits[];
};

s64 alloc_check(const MapAttr& attr) {
  if (attr.value_size > kKmallocMax) return -E2BIG;
  if (!attr.privileged) return -EPERM;
  if (attr.key_size != 0 || attr.value_size == 0 || attr.max_entries == 0 ||
      (attr.flags & ~(BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | kAccessMask)) || !access_ok(attr.flags) ||
      (attr.extra & ~u64{0xf})) {
    return -EINVAL;
  }
  return 0;
}

u32 hash_count(u64 extra) {
  return extra ? static_cast<u32>(extra) : kDefaultHashes;
}

// max_entries * hashes / ln 2 bits, with 7/5 for 1 / ln 2, rounded up to a power of two; 2^32 when that overflows.
u64 bit_count(u32 max_entries, u32 hashes) {
  u64 bits = u64{max_entries} * hashes;
  if (bits > 0xffffffff) return u64{1} << 32;
  bits = bits / 5 * 7;
  if (bits > u64{1} << 31) return u64{1} << 32;
  return bits <= 64 ? 64 : round_up_power_of_two(bits);
}

u64 footprint(const MapAttr& attr) {
  return sizeof(BloomMap) + bit_count(attr.max_entries, hash_count(attr.extra)) / 8;
}

void init(Map& base) {
  BloomMap& map = static_cast<BloomMap&>(base);
  map.hashes = hash_count(map.extra);
  map.mask = static_cast<u32>(bit_count(map.max_entries, map.hashes) - 1);
}

s64 push(Run*, Map& base, const void* value, u64 flags) {
  if (flags != BPF_ANY) return -EINVAL;
  BloomMap& map = static_cast<BloomMap&>(base);
  for (u32 i = 0; i < map.hashes; ++i) {
    u32 bit = jhash(value, map.value_size, i) & map.mask;
    __atomic_or_fetch(&map.bits[bit / 64], u64{1} << bit % 64, __ATOMIC_RELAXED);
  }
  return 0;
}

s64 peek(Run*, Map& base, void* value) {
  BloomMap& map = static_cast<BloomMap&>(base);
  for (u32 i = 0; i < map.hashes; ++i) {
    u32 bit = jhash(value, map.value_size, i) & map.mask;
    if (!(__atomic_load_n(&map.bits[bit / 64], __ATOMIC_RELAXED) >> bit % 64 & 1)) return -ENOENT;
  }
  return 0;
}

}  // namespace

const MapOps bloom_filter_ops = {
    .alloc_check = alloc_check,
    .footprint = footprint,
    .init = init,
    .erase = refuse_key<-EOPNOTSUPP>,
    .push = push,
    .pop = refuse_value<-EOPNOTSUPP>,
    .peek = peek,
    .get_next_key = refuse_next<-EOPNOTSUPP>,
    .copy_value = [](Run* run, Map& map, const void*, void* value) { return peek(run, map, value); },
    .update_value = [](Run* run, Map& map, const void*, const void* value,
                       u64 flags) { return push(run, map, value, flags); },
    .btf = BtfRule::kNoKey};

}  // namespace bpfemu

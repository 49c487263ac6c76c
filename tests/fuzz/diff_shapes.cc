// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/diff_shapes.h"

#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/value_btf.h"

namespace bpfemu::fuzz {

namespace {

constexpr u32 kTypes[] = {
    BPF_MAP_TYPE_HASH,          BPF_MAP_TYPE_HASH,           BPF_MAP_TYPE_HASH,           BPF_MAP_TYPE_ARRAY,
    BPF_MAP_TYPE_ARRAY,         BPF_MAP_TYPE_ARRAY,          BPF_MAP_TYPE_PERCPU_HASH,    BPF_MAP_TYPE_PERCPU_ARRAY,
    BPF_MAP_TYPE_LRU_HASH,      BPF_MAP_TYPE_LRU_HASH,       BPF_MAP_TYPE_LRU_PERCPU_HASH, BPF_MAP_TYPE_LPM_TRIE,
    BPF_MAP_TYPE_LPM_TRIE,      BPF_MAP_TYPE_QUEUE,          BPF_MAP_TYPE_STACK,          BPF_MAP_TYPE_BLOOM_FILTER,
    BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS,   BPF_MAP_TYPE_PROG_ARRAY,     BPF_MAP_TYPE_CGROUP_ARRAY,
    BPF_MAP_TYPE_RINGBUF,       BPF_MAP_TYPE_STACK_TRACE,    BPF_MAP_TYPE_PERF_EVENT_ARRAY, BPF_MAP_TYPE_CPUMAP,
    BPF_MAP_TYPE_DEVMAP,        BPF_MAP_TYPE_DEVMAP_HASH,    BPF_MAP_TYPE_USER_RINGBUF,   BPF_MAP_TYPE_CGROUP_STORAGE,
    BPF_MAP_TYPE_SOCKMAP,       BPF_MAP_TYPE_SOCKHASH,       BPF_MAP_TYPE_XSKMAP,         BPF_MAP_TYPE_REUSEPORT_SOCKARRAY,
    BPF_MAP_TYPE_SK_STORAGE,    BPF_MAP_TYPE_INODE_STORAGE,  BPF_MAP_TYPE_TASK_STORAGE,   BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE};

bool is_ring(u32 type) { return type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_USER_RINGBUF; }
bool is_cgroup_storage(u32 type) { return type == BPF_MAP_TYPE_CGROUP_STORAGE || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE; }
bool is_object_storage(u32 type) {
  return type == BPF_MAP_TYPE_SK_STORAGE || type == BPF_MAP_TYPE_INODE_STORAGE || type == BPF_MAP_TYPE_TASK_STORAGE;
}
bool holds_sockets(u32 type) {
  return type == BPF_MAP_TYPE_SOCKMAP || type == BPF_MAP_TYPE_SOCKHASH || type == BPF_MAP_TYPE_REUSEPORT_SOCKARRAY;
}
bool is_seeded(u32 type) {
  return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_HASH ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_HASH_OF_MAPS || type == BPF_MAP_TYPE_BLOOM_FILTER;
}
// The order of these is that of a seed that nobody can set.
bool has_one_key(u32 type) { return type == BPF_MAP_TYPE_DEVMAP_HASH || type == BPF_MAP_TYPE_SOCKHASH; }

u32 likely_key_size(Random& random, u32 type) {
  switch (type) {
    case BPF_MAP_TYPE_QUEUE:
    case BPF_MAP_TYPE_STACK:
    case BPF_MAP_TYPE_BLOOM_FILTER:
    case BPF_MAP_TYPE_RINGBUF:
    case BPF_MAP_TYPE_USER_RINGBUF: return 0;
    case BPF_MAP_TYPE_LPM_TRIE: return random.one_in(3) ? 5 : 8;
    case BPF_MAP_TYPE_CGROUP_STORAGE:
    case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE: return random.one_in(3) ? 16 : 8;
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LRU_HASH: return random.one_in(4) ? 1 + static_cast<u32>(random.below(20)) : 4;
    default: return 4;
  }
}

u32 likely_value_size(Random& random, u32 type) {
  static constexpr u32 sizes[] = {4, 8, 8, 12, 16, 1, 3, 40};
  switch (type) {
    case BPF_MAP_TYPE_RINGBUF:
    case BPF_MAP_TYPE_USER_RINGBUF: return 0;
    case BPF_MAP_TYPE_CPUMAP:
    case BPF_MAP_TYPE_DEVMAP:
    case BPF_MAP_TYPE_DEVMAP_HASH:
    case BPF_MAP_TYPE_SOCKMAP:
    case BPF_MAP_TYPE_SOCKHASH:
    case BPF_MAP_TYPE_REUSEPORT_SOCKARRAY: return random.one_in(3) ? 8 : 4;
    case BPF_MAP_TYPE_ARRAY_OF_MAPS:
    case BPF_MAP_TYPE_HASH_OF_MAPS:
    case BPF_MAP_TYPE_PROG_ARRAY:
    case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
    case BPF_MAP_TYPE_CGROUP_ARRAY:
    case BPF_MAP_TYPE_XSKMAP: return 4;
    case BPF_MAP_TYPE_STACK_TRACE: return 8 * (1 + static_cast<u32>(random.below(12)));
    default: return random.pick(sizes);
  }
}

}  // namespace

bool holds_maps(u32 type) { return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS; }

bool is_per_cpu(u32 type) {
  return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_LRU_PERCPU_HASH ||
         type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

u64 user_size(const HeldMap& map) {
  return is_per_cpu(map.type) ? 2 * ((map.value_size + 7) / 8 * 8) : map.value_size;
}

HeldMap likely_map(Random& random) {
  HeldMap map;
  map.type = random.pick(kTypes);
  map.key_size = likely_key_size(random, map.type);
  map.value_size = likely_value_size(random, map.type);
  static constexpr u32 entries[] = {1, 2, 3, 4, 5, 8, 40};
  map.entries = random.pick(entries);
  if (is_ring(map.type)) map.entries = random.one_in(3) ? 8192 : 4096;
  if (is_cgroup_storage(map.type) || is_object_storage(map.type)) map.entries = 0;
  if (random.one_in(25)) map.key_size = static_cast<u32>(random.below(20));
  if (random.one_in(25)) map.value_size = static_cast<u32>(random.below(20));
  if (random.one_in(25)) map.entries = random.one_in(2) ? 0 : 1;
  return map;
}

u32 likely_flags(Random& random, u32 type) {
  u32 flags = is_seeded(type) ? u32{BPF_F_ZERO_SEED} : 0;
  static constexpr u32 more[] = {BPF_F_NO_PREALLOC, BPF_F_NO_PREALLOC, BPF_F_NO_COMMON_LRU, BPF_F_RDONLY,    BPF_F_WRONLY,
                                 BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG, BPF_F_MMAPABLE,      BPF_F_INNER_MAP, BPF_F_NUMA_NODE};
  if (random.one_in(3)) flags |= random.pick(more);
  if (random.one_in(30)) flags |= 1u << random.below(32);
  const bool must = type == BPF_MAP_TYPE_LPM_TRIE || is_object_storage(type);
  return must && !random.one_in(10) ? flags | BPF_F_NO_PREALLOC : flags;
}

u32 likely_value_type(Random& random, HeldMap& map) {
  if (is_object_storage(map.type) ? random.one_in(12) : !random.one_in(5)) return 0;
  static constexpr u32 types[] = {kIntType, kLongType, kLockedType, kLockedType, kTimedType};
  const u32 type = random.pick(types);
  map.value_size = type == kIntType ? 4 : type == kLongType ? 8 : type == kLockedType ? kLockedSize : kTimedSize;
  return type;
}

void fill_key(Sequence& s, const HeldMap& map, u8* key) {
  Random& random = s.random();
  const u32 small = static_cast<u32>(random.below(7));
  if (map.type == BPF_MAP_TYPE_LPM_TRIE) {
    const u32 prefix = static_cast<u32>(random.one_in(10) ? random.odd() : random.below(33));
    memcpy(key, &prefix, 4);
    key[4] = static_cast<u8>(small << 5);
    key[5] = static_cast<u8>(random.below(3) << 6);
    return;
  }
  if (is_cgroup_storage(map.type)) {
    struct stat cgroup {};
    if (!random.one_in(8)) fstat(kCgroupFd, &cgroup);
    const u64 id = cgroup.st_ino;
    const u32 attach_type = static_cast<u32>(random.below(3));
    memcpy(key, &id, 8);
    memcpy(key + 8, &attach_type, 4);
    return;
  }
  if (is_object_storage(map.type) && !random.one_in(12)) {
    const int owner = map.type == BPF_MAP_TYPE_SK_STORAGE ? kSocketFd : map.type == BPF_MAP_TYPE_TASK_STORAGE ? kTaskFd : kCgroupFd;
    memcpy(key, &owner, 4);
    return;
  }
  if (has_one_key(map.type)) return;
  memcpy(key, &small, 4);
  if (random.one_in(16)) key[random.below(4)] = static_cast<u8>(random.next());
}

void fill_value(Sequence& s, const HeldMap& map, u8* value) {
  Random& random = s.random();
  u32 words[2] = {};
  switch (map.type) {
    case BPF_MAP_TYPE_ARRAY_OF_MAPS:
    case BPF_MAP_TYPE_HASH_OF_MAPS: words[0] = static_cast<u32>(random.one_in(10) ? s.prog().fd : s.map().fd); break;
    case BPF_MAP_TYPE_PROG_ARRAY: words[0] = static_cast<u32>(random.one_in(10) ? s.map().fd : s.prog().fd); break;
    case BPF_MAP_TYPE_CGROUP_ARRAY: words[0] = kCgroupFd; break;
    case BPF_MAP_TYPE_SOCKMAP:
    case BPF_MAP_TYPE_SOCKHASH:
    case BPF_MAP_TYPE_REUSEPORT_SOCKARRAY:
    case BPF_MAP_TYPE_XSKMAP: words[0] = random.one_in(10) ? kCgroupFd : kSocketFd; break;
    case BPF_MAP_TYPE_DEVMAP:
    case BPF_MAP_TYPE_DEVMAP_HASH:
      words[0] = random.one_in(6) ? interface_index(static_cast<u32>(random.odd())) : 1;
      if (random.one_in(3)) words[1] = static_cast<u32>(s.prog().fd);
      break;
    case BPF_MAP_TYPE_CPUMAP:
      words[0] = random.one_in(3) ? static_cast<u32>(random.odd()) : 192;
      if (random.one_in(3)) words[1] = static_cast<u32>(s.prog().fd);
      break;
    default:
      for (u64 i = 0; i < user_size(map) && i < 512; ++i) value[i] = static_cast<u8>(random.next());
      return;
  }
  memcpy(value, words, sizeof words);
}

void say_key(Sequence& s, const HeldMap& map, const u8* key) {
  if (is_cgroup_storage(map.type)) return s.say_bytes(key + 8, map.key_size > 8 ? 4 : 0);
  s.say_bytes(key, map.key_size < 20 ? map.key_size : 20);
}

void say_value(Sequence& s, const HeldMap& map, const u8* value) {
  u32 id = 0;
  memcpy(&id, value, 4);
  if (holds_maps(map.type)) return s.say_id(Kind::kMap, id);
  if (map.type == BPF_MAP_TYPE_PROG_ARRAY) return s.say_id(Kind::kProg, id);
  if (holds_sockets(map.type)) return s.say(id ? "cookie" : "0");
  if (map.value_size == 8 && (map.type == BPF_MAP_TYPE_CPUMAP || map.type == BPF_MAP_TYPE_DEVMAP || map.type == BPF_MAP_TYPE_DEVMAP_HASH)) {
    s.say_bytes(value, 4);
    memcpy(&id, value + 4, 4);
    return s.say_id(Kind::kProg, id);
  }
  s.say_bytes(value, user_size(map));
}

}  // namespace bpfemu::fuzz

// SPDX-License-Identifier: Apache-2.0
// Operations on maps.
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/diff_state.h"

namespace bpfemu::fuzz {

namespace {

constexpr u32 kTypes[] = {
    BPF_MAP_TYPE_HASH,          BPF_MAP_TYPE_HASH,          BPF_MAP_TYPE_ARRAY,         BPF_MAP_TYPE_ARRAY,
    BPF_MAP_TYPE_PERCPU_HASH,   BPF_MAP_TYPE_PERCPU_ARRAY,  BPF_MAP_TYPE_LRU_HASH,      BPF_MAP_TYPE_LRU_PERCPU_HASH,
    BPF_MAP_TYPE_LPM_TRIE,      BPF_MAP_TYPE_QUEUE,         BPF_MAP_TYPE_STACK,         BPF_MAP_TYPE_BLOOM_FILTER,
    BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS,  BPF_MAP_TYPE_PROG_ARRAY,    BPF_MAP_TYPE_CGROUP_ARRAY,
    BPF_MAP_TYPE_RINGBUF,       BPF_MAP_TYPE_STACK_TRACE,   BPF_MAP_TYPE_PERF_EVENT_ARRAY, BPF_MAP_TYPE_CPUMAP,
    BPF_MAP_TYPE_DEVMAP,        BPF_MAP_TYPE_USER_RINGBUF,  BPF_MAP_TYPE_CGROUP_STORAGE};

bool is_hash(u32 type) {
  return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_HASH ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_HASH_OF_MAPS || type == BPF_MAP_TYPE_BLOOM_FILTER;
}
bool holds_objects(u32 type) {
  return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS || type == BPF_MAP_TYPE_PROG_ARRAY;
}

u32 likely_key_size(u32 type) {
  switch (type) {
    case BPF_MAP_TYPE_QUEUE: case BPF_MAP_TYPE_STACK: case BPF_MAP_TYPE_BLOOM_FILTER:
    case BPF_MAP_TYPE_RINGBUF: case BPF_MAP_TYPE_USER_RINGBUF: return 0;
    case BPF_MAP_TYPE_LPM_TRIE: case BPF_MAP_TYPE_CGROUP_STORAGE: return 8;
    default: return 4;
  }
}
u32 likely_value_size(Random& random, u32 type) {
  static constexpr u32 sizes[] = {4, 8, 8, 12, 16, 1, 3, 40};
  switch (type) {
    case BPF_MAP_TYPE_RINGBUF: case BPF_MAP_TYPE_USER_RINGBUF: return 0;
    case BPF_MAP_TYPE_ARRAY_OF_MAPS: case BPF_MAP_TYPE_HASH_OF_MAPS: case BPF_MAP_TYPE_PROG_ARRAY:
    case BPF_MAP_TYPE_PERF_EVENT_ARRAY: case BPF_MAP_TYPE_CGROUP_ARRAY: case BPF_MAP_TYPE_CPUMAP:
    case BPF_MAP_TYPE_DEVMAP: return 4;
    default: return random.pick(sizes);
  }
}

u64 user_size(const HeldMap& map) {
  const bool per_cpu = map.type == BPF_MAP_TYPE_PERCPU_HASH || map.type == BPF_MAP_TYPE_PERCPU_ARRAY ||
                       map.type == BPF_MAP_TYPE_LRU_PERCPU_HASH || map.type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
  return per_cpu ? 2 * ((map.value_size + 7) / 8 * 8) : map.value_size;
}

struct Element {
  alignas(8) u8 key[64] = {};
  alignas(8) u8 value[512] = {};
};

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
  memcpy(key, &small, 4);
  if (random.one_in(16)) key[random.below(4)] = static_cast<u8>(random.next());
}

void fill_value(Sequence& s, const HeldMap& map, u8* value) {
  Random& random = s.random();
  if (holds_objects(map.type)) {
    const int fd = (map.type == BPF_MAP_TYPE_PROG_ARRAY) != random.one_in(10) ? s.prog().fd : s.map().fd;
    memcpy(value, &fd, 4);
  } else if (map.type == BPF_MAP_TYPE_CGROUP_ARRAY) {
    const int fd = s.cgroup();
    memcpy(value, &fd, 4);
  } else {
    for (u64 i = 0; i < user_size(map) && i < sizeof Element::value; ++i) value[i] = static_cast<u8>(random.next());
  }
}

void say_value(Sequence& s, const HeldMap& map, const u8* value) {
  if (!holds_objects(map.type)) return s.say_bytes(value, user_size(map));
  u32 id;
  memcpy(&id, value, 4);
  s.say_id(map.type == BPF_MAP_TYPE_PROG_ARRAY ? Kind::kProg : Kind::kMap, id);
}

void create(Sequence& s) {
  Random& random = s.random();
  HeldMap& map = s.map();
  HeldMap made;
  made.type = random.pick(kTypes);
  made.key_size = likely_key_size(made.type);
  made.value_size = likely_value_size(random, made.type);
  static constexpr u32 entries[] = {1, 2, 3, 4, 5, 8, 40};
  made.entries = random.pick(entries);
  if (made.type == BPF_MAP_TYPE_RINGBUF || made.type == BPF_MAP_TYPE_USER_RINGBUF) made.entries = 4096;
  if (made.type == BPF_MAP_TYPE_CGROUP_STORAGE) made.entries = 0;
  if (made.type == BPF_MAP_TYPE_STACK_TRACE) made.value_size = 8 * (made.value_size + 1);
  u32 flags = is_hash(made.type) ? u32{BPF_F_ZERO_SEED} : 0;
  static constexpr u32 more[] = {BPF_F_NO_PREALLOC, BPF_F_RDONLY, BPF_F_WRONLY,   BPF_F_RDONLY_PROG,   BPF_F_WRONLY_PROG,
                                 BPF_F_MMAPABLE,    BPF_F_INNER_MAP, BPF_F_NUMA_NODE, BPF_F_NO_COMMON_LRU, 1u << 20};
  if (random.one_in(3)) flags |= random.pick(more);
  if (made.type == BPF_MAP_TYPE_LPM_TRIE && !random.one_in(8)) flags |= BPF_F_NO_PREALLOC;
  if (random.one_in(20)) made.key_size = static_cast<u32>(random.below(20));
  if (random.one_in(20)) made.value_size = static_cast<u32>(random.below(20));
  if (random.one_in(20)) made.entries = 0;
  bpf_attr attr{};
  attr.map_type = made.type;
  attr.key_size = made.key_size;
  attr.value_size = made.value_size;
  attr.max_entries = made.entries;
  attr.map_flags = flags;
  const bool outer = made.type == BPF_MAP_TYPE_ARRAY_OF_MAPS || made.type == BPF_MAP_TYPE_HASH_OF_MAPS;
  if (outer || random.one_in(30)) {
    HeldMap& inner = s.map();
    s.say_name(inner);
    attr.inner_map_fd = static_cast<u32>(inner.fd);
  }
  if (random.one_in(20)) attr.map_extra = random.odd();
  strcpy(attr.map_name, random.one_in(10) ? "a-b" : "some_map");
  s.say_name(map);
  s.say("type " + std::to_string(made.type) + " " + std::to_string(made.key_size) + "/" + std::to_string(made.value_size) + "/" +
        std::to_string(made.entries) + " flags " + std::to_string(flags));
  const long fd = call(BPF_MAP_CREATE, attr);
  made.fd = map.fd;
  s.keep(made.fd, fd);
  if (fd >= 0) map = made;
}

long element(Sequence& s, int command, HeldMap& map, Element& e) {
  static constexpr u64 flags[] = {BPF_ANY, BPF_ANY, BPF_ANY, BPF_ANY, BPF_NOEXIST, BPF_EXIST, BPF_F_LOCK, 3, 8};
  bpf_attr attr{};
  attr.map_fd = static_cast<u32>(map.fd);
  attr.key = map.key_size || s.random().one_in(10) ? address(e.key) : 0;
  attr.value = address(e.value);
  attr.flags = command == BPF_MAP_UPDATE_ELEM || s.random().one_in(20) ? s.random().pick(flags) : 0;
  s.say_name(map);
  s.say_bytes(e.key, map.key_size < 8 ? map.key_size : 8);
  s.say("flags " + std::to_string(attr.flags));
  return call(command, attr);
}

void update(Sequence& s) {
  HeldMap& map = s.map();
  Element e;
  fill_key(s, map, e.key);
  fill_value(s, map, e.value);
  s.say_result(element(s, BPF_MAP_UPDATE_ELEM, map, e));
}

void read_one(Sequence& s, int command) {
  HeldMap& map = s.map();
  Element e;
  fill_key(s, map, e.key);
  if (map.type == BPF_MAP_TYPE_BLOOM_FILTER) fill_value(s, map, e.value);
  const long result = element(s, command, map, e);
  s.say_result(result);
  if (result == 0) say_value(s, map, e.value);
}
void lookup(Sequence& s) { read_one(s, BPF_MAP_LOOKUP_ELEM); }
void take(Sequence& s) { read_one(s, BPF_MAP_LOOKUP_AND_DELETE_ELEM); }

void erase(Sequence& s) {
  HeldMap& map = s.map();
  Element e;
  fill_key(s, map, e.key);
  s.say_result(element(s, BPF_MAP_DELETE_ELEM, map, e));
}

// All keys in their order.
void walk(Sequence& s) {
  HeldMap& map = s.map();
  s.say_name(map);
  u8 key[64] = {}, next[64] = {};
  bpf_attr attr{};
  attr.map_fd = static_cast<u32>(map.fd);
  attr.next_key = address(next);
  if (s.random().one_in(4)) {
    fill_key(s, map, key);
    attr.key = address(key);
  }
  for (int i = 0; i < 12; ++i) {
    const long result = call(BPF_MAP_GET_NEXT_KEY, attr);
    if (result < 0) return s.say_result(result);
    s.say_bytes(next, map.key_size);
    memcpy(key, next, sizeof key);
    attr.key = address(key);
  }
}

void batch(Sequence& s) {
  static constexpr int commands[] = {BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH, BPF_MAP_UPDATE_BATCH,
                                     BPF_MAP_DELETE_BATCH};
  Random& random = s.random();
  HeldMap& map = s.map();
  const int command = random.pick(commands);
  const u32 count = static_cast<u32>(random.below(7));
  std::vector<u8> keys(64 * 64), values(512 * 64);
  u32 in = map.cursor, out[16] = {};
  if (command == BPF_MAP_UPDATE_BATCH || command == BPF_MAP_DELETE_BATCH) {
    for (u32 i = 0; i < count; ++i) {
      Element e;
      fill_key(s, map, e.key);
      fill_value(s, map, e.value);
      memcpy(&keys[i * map.key_size], e.key, map.key_size);
      memcpy(&values[i * user_size(map)], e.value, std::min<u64>(user_size(map), sizeof e.value));
    }
  }
  bpf_attr attr{};
  attr.batch.map_fd = static_cast<u32>(map.fd);
  attr.batch.keys = address(keys.data());
  attr.batch.values = address(values.data());
  attr.batch.count = count;
  attr.batch.out_batch = address(out);
  if (random.one_in(3)) attr.batch.in_batch = address(&in);
  if (random.one_in(20)) attr.batch.elem_flags = 1ull << random.below(4);
  if (random.one_in(30)) attr.batch.flags = 1;
  s.say_name(map);
  s.say(std::to_string(command) + " of " + std::to_string(count) + (attr.batch.in_batch ? " on" : ""));
  const long result = call(command, attr);
  s.say_result(result);
  s.say("count " + std::to_string(attr.batch.count));
  if (command == BPF_MAP_LOOKUP_BATCH || command == BPF_MAP_LOOKUP_AND_DELETE_BATCH) {
    s.say_bytes(out, 4);
    s.say_bytes(keys.data(), count * map.key_size);
    for (u32 i = 0; i < std::min(count, attr.batch.count); ++i) say_value(s, map, &values[i * user_size(map)]);
    map.cursor = out[0];
  }
}

void freeze(Sequence& s) {
  HeldMap& map = s.map();
  bpf_attr attr{};
  attr.map_fd = static_cast<u32>(map.fd);
  s.say_name(map);
  s.say_result(call(BPF_MAP_FREEZE, attr));
}

void map_memory(Sequence& s) {
  HeldMap& map = s.map();
  Random& random = s.random();
  static constexpr int protections[] = {PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, PROT_WRITE};
  static constexpr size_t lengths[] = {4096, 4096, 4096, 8192, 12288};
  const int protection = random.pick(protections), sharing = random.one_in(8) ? MAP_PRIVATE : MAP_SHARED;
  const size_t length = random.pick(lengths);
  const off_t offset = random.one_in(8) ? 4096 : 0;
  s.say_name(map);
  s.say(std::to_string(protection) + " " + std::to_string(length) + " at " + std::to_string(offset));
  void* at = mmap(nullptr, length, protection, sharing, map.fd, offset);
  if (at == MAP_FAILED) return s.say_result(-errno);
  s.say("mapped");
  if (protection & PROT_READ) s.say_bytes(at, 32);
  if (protection & PROT_WRITE && map.type == BPF_MAP_TYPE_ARRAY) memset(static_cast<u8*>(at) + random.below(20), 0x5a, 4);
  munmap(at, length);
}

void map_info(Sequence& s) {
  HeldMap& map = s.map();
  bpf_map_info info{};
  bpf_attr attr{};
  attr.info.bpf_fd = static_cast<u32>(map.fd);
  attr.info.info_len = sizeof info;
  attr.info.info = address(&info);
  s.say_name(map);
  const long result = call(BPF_OBJ_GET_INFO_BY_FD, attr);
  s.say_result(result);
  if (result) return;
  s.say_id(Kind::kMap, info.id);
  info.id = 0;
  s.say_bytes(&info, sizeof info);
}

void map_fdinfo(Sequence& s) {
  HeldMap& map = s.map();
  s.say_name(map);
  const int fd = open(("/proc/self/fdinfo/" + std::to_string(map.fd)).c_str(), O_RDONLY);
  if (fd < 0) return s.say_result(-errno);
  char text[2048];
  const ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  text[size > 0 ? size : 0] = 0;
  for (char* line = strtok(text, "\n"); line; line = strtok(nullptr, "\n")) {
    if (strncmp(line, "map_id", 6) && strncmp(line, "ino", 3) && strncmp(line, "mnt_id", 6)) s.say(line);
  }
}

void pin(Sequence& s) {
  bpf_attr attr{};
  const bool whole_map = !s.random().one_in(4);
  const int fd = whole_map ? s.map().fd : s.prog().fd;
  const std::string path = s.pin();
  attr.bpf_fd = static_cast<u32>(fd);
  attr.pathname = address(path.c_str());
  s.say(path.substr(path.size() - 1));
  s.say_result(call(BPF_OBJ_PIN, attr));
}

void get(Sequence& s) {
  HeldMap& map = s.map();
  bpf_attr attr{};
  const std::string path = s.pin();
  attr.pathname = address(path.c_str());
  static constexpr u32 flags[] = {0, 0, 0, BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_RDONLY | BPF_F_WRONLY, 1};
  attr.file_flags = s.random().pick(flags);
  s.say(path.substr(path.size() - 1) + " flags " + std::to_string(attr.file_flags));
  s.say_name(map);
  const long fd = call(BPF_OBJ_GET, attr);
  bpf_map_info info{};
  bpf_attr ask{};
  ask.info.bpf_fd = static_cast<u32>(fd);
  ask.info.info_len = sizeof info;
  ask.info.info = address(&info);
  HeldMap got;
  got.fd = map.fd;
  s.keep(got.fd, fd);
  if (fd < 0) return;
  if (call(BPF_OBJ_GET_INFO_BY_FD, ask) == 0) got.type = info.type, got.key_size = info.key_size, got.value_size = info.value_size, got.entries = info.max_entries;
  if (ask.info.info_len < 40 || got.key_size > 64 || got.value_size > 512) got.key_size = got.value_size = 4;
  map = got;
}

void unpin(Sequence& s) {
  const std::string path = s.pin();
  s.say(path.substr(path.size() - 1));
  s.say_result(unlink(path.c_str()) ? -errno : 0);
}

void by_id(Sequence& s) {
  HeldMap &from = s.map(), &to = s.map();
  s.say_name(from);
  s.say_name(to);
  bpf_map_info info{};
  bpf_attr attr{};
  attr.info.bpf_fd = static_cast<u32>(from.fd);
  attr.info.info_len = sizeof info;
  attr.info.info = address(&info);
  if (call(BPF_OBJ_GET_INFO_BY_FD, attr)) info.id = 0x7ffffff0;
  attr = {};
  attr.map_id = info.id;
  static constexpr u32 flags[] = {0, 0, 0, BPF_F_RDONLY, BPF_F_WRONLY, 1};
  attr.open_flags = s.random().pick(flags);
  s.say("flags " + std::to_string(attr.open_flags));
  const long fd = call(BPF_MAP_GET_FD_BY_ID, attr);
  HeldMap got = from;
  got.fd = to.fd;
  s.keep(got.fd, fd);
  if (fd >= 0) to = got;
}

void duplicate(Sequence& s) {
  HeldMap &from = s.map(), &to = s.map();
  s.say_name(from);
  s.say_name(to);
  const int fd = dup(from.fd);
  HeldMap got = from;
  got.fd = to.fd;
  s.keep(got.fd, fd < 0 ? -errno : fd);
  if (fd >= 0) to = got;
}

void drop(Sequence& s) {
  HeldMap& map = s.map();
  s.say_name(map);
  s.say_result(close(map.fd) ? -errno : 0);
  map.fd = -1;
}

}  // namespace

const std::vector<Operation> kMapOperations = {
    {"create", 22, create}, {"update", 24, update}, {"lookup", 12, lookup}, {"take", 5, take},      {"delete", 6, erase},
    {"walk", 6, walk},      {"batch", 10, batch},   {"freeze", 1, freeze},  {"mmap", 3, map_memory}, {"map info", 4, map_info},
    {"fdinfo", 3, map_fdinfo}, {"pin", 3, pin},     {"get", 3, get},        {"unpin", 1, unpin},    {"by id", 3, by_id},
    {"dup", 2, duplicate},  {"close map", 2, drop}};

}  // namespace bpfemu::fuzz

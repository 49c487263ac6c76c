// SPDX-License-Identifier: Apache-2.0
// Operations on one map and its elements.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/diff_shapes.h"
#include "tests/fuzz/value_btf.h"

namespace bpfemu::fuzz {

namespace {

int load_btf() {
  static const std::vector<u8> blob = value_btf();
  bpf_attr attr{};
  attr.btf = address(blob.data());
  attr.btf_size = static_cast<u32>(blob.size());
  return static_cast<int>(call(BPF_BTF_LOAD, attr));
}

bool try_to_create(Sequence& s) {
  Random& random = s.random();
  HeldMap& map = s.new_map();
  HeldMap made = likely_map(random);
  bpf_attr attr{};
  attr.btf_value_type_id = likely_value_type(random, made);
  if (attr.btf_value_type_id) {
    attr.btf_fd = static_cast<u32>(load_btf());
    attr.btf_key_type_id = random.one_in(8) ? static_cast<u32>(random.below(4)) : made.key_size == 4 ? kIntType : made.key_size == 8 ? kLongType : 0;
    if (random.one_in(10)) attr.btf_value_type_id = static_cast<u32>(random.below(12));
  }
  attr.map_type = made.type;
  attr.key_size = made.key_size;
  attr.value_size = made.value_size;
  attr.max_entries = made.entries;
  attr.map_flags = likely_flags(random, made.type);
  if (holds_maps(made.type) || random.one_in(30)) {
    HeldMap& inner = s.map();
    s.say_name(inner);
    attr.inner_map_fd = static_cast<u32>(inner.fd);
  }
  if (random.one_in(20)) attr.map_extra = random.odd();
  strcpy(attr.map_name, random.one_in(10) ? "a-b" : "some_map");
  s.say_name(map);
  s.say("type", made.type);
  s.say(std::to_string(made.key_size) + "/" + std::to_string(made.value_size) + "/" + std::to_string(made.entries));
  s.say("flags", attr.map_flags);
  s.say("extra", attr.map_extra);
  if (attr.btf_value_type_id) s.say("btf " + std::to_string(attr.btf_key_type_id) + "," + std::to_string(attr.btf_value_type_id));
  const long fd = call(BPF_MAP_CREATE, attr);
  if (attr.btf_fd > 0) close(static_cast<int>(attr.btf_fd));
  made.fd = map.fd;
  made.id = s.keep(made.fd, fd);
  if (fd >= 0) map = made;
  return fd >= 0;
}

void create(Sequence& s) {
  for (int tries = 0; tries < kTries && !try_to_create(s); ++tries) {}
}

struct Element {
  alignas(8) u8 key[64] = {};
  alignas(8) u8 value[512] = {};
};

long element(Sequence& s, int command, HeldMap& map, Element& e) {
  static constexpr u64 flags[] = {BPF_ANY, BPF_ANY, BPF_ANY, BPF_ANY, BPF_NOEXIST, BPF_EXIST, BPF_F_LOCK, 3, 8};
  bpf_attr attr{};
  attr.map_fd = static_cast<u32>(map.fd);
  attr.key = map.key_size || s.random().one_in(10) ? address(e.key) : 0;
  if (command != BPF_MAP_DELETE_ELEM || s.random().one_in(20)) attr.value = address(e.value);
  attr.flags = command == BPF_MAP_UPDATE_ELEM || s.random().one_in(20) ? s.random().pick(flags) : 0;
  s.say_name(map);
  say_key(s, map, e.key);
  s.say("flags", attr.flags);
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
    say_key(s, map, next);
    memcpy(key, next, sizeof key);
    attr.key = address(key);
  }
}

void freeze(Sequence& s) {
  HeldMap& map = s.map();
  bpf_attr attr{};
  attr.map_fd = static_cast<u32>(map.fd);
  s.say_name(map);
  s.say_result(call(BPF_MAP_FREEZE, attr));
}

void map_info(Sequence& s) {
  HeldMap& map = s.map();
  bpf_map_info info{};
  s.say_name(map);
  const long result = info_of(map.fd, info);
  s.say_result(result);
  if (result) return;
  s.say_id(Kind::kMap, info.id);
  info.id = 0;
  s.say(info.btf_id ? "btf" : "none");
  info.btf_id = 0;
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

void duplicate(Sequence& s) {
  HeldMap &from = s.map(), &to = s.new_map();
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

const std::vector<Operation> kMapOperations = {{"create", 22, create}, {"update", 26, update},     {"lookup", 12, lookup},
                                               {"take", 5, take},      {"delete", 6, erase},       {"walk", 5, walk},
                                               {"freeze", 1, freeze},  {"map info", 4, map_info},  {"fdinfo", 2, map_fdinfo},
                                               {"dup", 1, duplicate},  {"close map", 2, drop}};

}  // namespace bpfemu::fuzz

// SPDX-License-Identifier: Apache-2.0
// Elements one by one, and freezing.
#include <algorithm>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

// The life of an element in a map with 4-byte keys and values; `buffer` is as large as bpf() needs for the type.
void ask_life(const std::string& name, const MapSpec& spec) {
  int map = make_map(spec);
  std::vector<u8> value(65536), read(65536);
  u32 key = 1, other = 2, out_of_range = 1000, next = 0;
  u32 number = 7;
  memcpy(value.data(), &number, sizeof number);
  auto said = [&](const char* what, long r) { say(name + "/" + what, r); };
  said("lookup of nothing", lookup(map, &key, read.data()));
  said("delete of nothing", erase(map, &key));
  said("next of an empty map", next_key(map, nullptr, &next));
  said("update existing only", update(map, &key, value.data(), BPF_EXIST));
  said("update", update(map, &key, value.data()));
  said("update absent only", update(map, &key, value.data(), BPF_NOEXIST));
  said("update with flag 3", update(map, &key, value.data(), 3));
  said("update with BPF_F_LOCK", update(map, &key, value.data(), BPF_F_LOCK));
  said("update out of range", update(map, &out_of_range, value.data()));
  said("lookup", lookup(map, &key, read.data()));
  memcpy(&number, read.data(), sizeof number);
  say(name + "/value read", std::to_string(number));
  said("lookup out of range", lookup(map, &out_of_range, read.data()));
  said("lookup with a flag", lookup(map, &key, read.data(), 1));
  said("lookup with BPF_F_LOCK", lookup(map, &key, read.data(), BPF_F_LOCK));
  erase(map, &out_of_range);  // hash tables took it; the order of two keys is chance
  said("first key", next_key(map, nullptr, &next));
  said("next after the only key", next_key(map, &key, &next));
  said("next after an unknown key", next_key(map, &out_of_range, &next));
  said("lookup, null key", lookup(map, nullptr, read.data()));
  said("lookup, null value", lookup(map, &key, nullptr));
  said("update, null value", update(map, &key, nullptr));
  said("next, null result", next_key(map, nullptr, nullptr));
  bpf_attr take{};
  take.map_fd = static_cast<u32>(map);
  take.key = ptr(&key);
  take.value = ptr(read.data());
  said("lookup and delete", bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM, take));
  said("lookup and delete again", bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM, take));
  take.flags = BPF_F_LOCK;
  said("lookup and delete with BPF_F_LOCK", bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM, take));
  said("update again", update(map, &other, value.data()));
  said("delete", erase(map, &other));
  said("delete again", erase(map, &other));
  close(map);
}

void ask_full(const std::string& name, u32 type, u32 flags) {
  int map = make_map({type, 4, 4, 2, flags});
  u32 value = 1;
  for (u32 key = 0; key < 4; ++key) say(name + "/fill " + std::to_string(key), update(map, &key, &value));
  u32 key = 0;
  say(name + "/replace in a full map", update(map, &key, &value));
  close(map);
}

void ask_keyless(const std::string& name, u32 type) {
  int map = make_map({type, 0, 4, 2});
  u32 value = 0;
  auto said = [&](const char* what, long r) { say(name + "/" + what, text(r) + " " + std::to_string(value)); };
  said("peek at nothing", lookup(map, nullptr, &value));
  for (value = 1; value < 4; ++value) said("push", update(map, nullptr, &value));
  value = 9;
  said("push over a full one", update(map, nullptr, &value, BPF_EXIST));
  said("push absent only", update(map, nullptr, &value, BPF_NOEXIST));
  said("push flag 4", update(map, nullptr, &value, 4));
  said("push with a key", update(map, &value, &value));
  said("peek", lookup(map, nullptr, &value));
  said("peek with a key", lookup(map, &value, &value));
  bpf_attr take{};
  take.map_fd = static_cast<u32>(map);
  take.value = ptr(&value);
  for (int i = 0; i < 3; ++i) said("pop", bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM, take));
  take.flags = BPF_F_LOCK;
  said("pop with a flag", bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM, take));
  said("delete", erase(map, nullptr));
  u32 next;
  said("next", next_key(map, nullptr, &next));
  close(map);
}

void ask_access(const std::string& name, u32 flags) {
  int map = make_map({BPF_MAP_TYPE_ARRAY, 4, 4, 2, flags});
  u32 key = 0, value = 5;
  say(name + "/lookup", lookup(map, &key, &value));
  say(name + "/update", update(map, &key, &value));
  say(name + "/next", next_key(map, nullptr, &key));
  bpf_attr freeze{};
  freeze.map_fd = static_cast<u32>(map);
  say(name + "/freeze", bpf(BPF_MAP_FREEZE, freeze));
  say(name + "/freeze again", bpf(BPF_MAP_FREEZE, freeze));
  say(name + "/lookup in a frozen map", lookup(map, &key, &value));
  say(name + "/update of a frozen map", update(map, &key, &value));
  say(name + "/delete in a frozen map", erase(map, &key));
  close(map);
}

}  // namespace

void ask_map_elements() {
  const struct {
    const char* name;
    MapSpec spec;
  } kinds[] = {{"hash", {BPF_MAP_TYPE_HASH}},
               {"hash without preallocation", {BPF_MAP_TYPE_HASH, 4, 4, 4, BPF_F_NO_PREALLOC}},
               {"array", {BPF_MAP_TYPE_ARRAY}},
               {"percpu hash", {BPF_MAP_TYPE_PERCPU_HASH}},
               {"percpu array", {BPF_MAP_TYPE_PERCPU_ARRAY}},
               {"lru hash", {BPF_MAP_TYPE_LRU_HASH, 4, 4, 100}},
               {"lru percpu hash", {BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 4, 100}},
               {"stack trace", {BPF_MAP_TYPE_STACK_TRACE, 4, 8, 4}},
               {"cpumap", {BPF_MAP_TYPE_CPUMAP, 4, 4, 1}},
               {"devmap", {BPF_MAP_TYPE_DEVMAP, 4, 4, 4}},
               {"devmap hash", {BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, 4}},
               {"lpm trie", {BPF_MAP_TYPE_LPM_TRIE, 8, 4, 4, BPF_F_NO_PREALLOC}},
               {"ring buffer", {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096}}};
  for (auto& kind : kinds) {
    // Creating CPUs' and devices' entries asks for hardware; the life of the others is the same everywhere.
    if (kind.spec.type == BPF_MAP_TYPE_CPUMAP) continue;
    ask_life(kind.name, kind.spec);
  }
  ask_full("full hash", BPF_MAP_TYPE_HASH, 0);
  ask_full("full hash without preallocation", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC);
  ask_full("full percpu hash", BPF_MAP_TYPE_PERCPU_HASH, 0);
  ask_full("full array", BPF_MAP_TYPE_ARRAY, 0);
  ask_keyless("queue", BPF_MAP_TYPE_QUEUE);
  ask_keyless("stack", BPF_MAP_TYPE_STACK);
  ask_access("plain", 0);
  ask_access("read-only descriptor", BPF_F_RDONLY);
  ask_access("write-only descriptor", BPF_F_WRONLY);
  ask_access("read-only for programs", BPF_F_RDONLY_PROG);
  ask_access("write-only for programs", BPF_F_WRONLY_PROG);

  // The order of keys in an array, and what the others have in all.
  int array = make_map({BPF_MAP_TYPE_ARRAY, 4, 4, 3});
  std::string keys;
  u32 key = 0;
  for (long r = next_key(array, nullptr, &key); r == 0; r = next_key(array, &key, &key)) keys += std::to_string(key) + " ";
  say("keys/array", keys);
  close(array);
  int hash = make_map({BPF_MAP_TYPE_HASH, 4, 4, 100});
  for (key = 0; key < 50; ++key) update(hash, &key, &key);
  std::vector<u32> found;
  for (long r = next_key(hash, nullptr, &key); r == 0 && found.size() < 200; r = next_key(hash, &key, &key)) {
    found.push_back(key);
  }
  std::sort(found.begin(), found.end());
  say("keys/hash", std::to_string(found.size()) + " from " + std::to_string(found.front()) + " to " +
                       std::to_string(found.back()));
  close(hash);
  for (int fd : {-1, 0, 1000}) {
    u32 value;
    say("elements/lookup in descriptor " + std::to_string(fd), lookup(fd, &key, &value));
    say("elements/update in descriptor " + std::to_string(fd), update(fd, &key, &value));
  }
}

}  // namespace oracle

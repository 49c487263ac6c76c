// SPDX-License-Identifier: Apache-2.0
// Which elements full LRU maps keep. Of the CPUs only 0 and 1 are used, and lists per CPU have the same length whatever
// the number of CPUs is, so that the answers do not depend on it.
#include <sched.h>

#include <algorithm>
#include <random>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

u32 cpus() { return static_cast<u32>(sysconf(_SC_NPROCESSORS_CONF)); }

void run_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  sched_setaffinity(0, sizeof set, &set);
}

class LruMap {
 public:
  LruMap(u32 type, u32 flags, u32 entries) : map_(make_map({type, 4, 8, entries, flags})), number_(make_map({BPF_MAP_TYPE_ARRAY, 4, 4, 1})) {
    const Program key = load_map(1, number_, BPF_PSEUDO_MAP_VALUE);
    program_ = make_program(
        BPF_PROG_TYPE_SOCKET_FILTER,
        key + Program{load(2, 1, 0), insn(BPF_STX | BPF_MEM | BPF_W, 10, 2, -4, 0), mov_reg(2, 10), add(2, -4)} + load_map(1, map_) +
            Program{call(BPF_FUNC_map_lookup_elem), insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0), mov(0, 1), leave()});
  }
  ~LruMap() {
    for (int fd : {map_, number_, program_}) close(fd);
  }
  LruMap(const LruMap&) = delete;
  LruMap& operator=(const LruMap&) = delete;

  long put(u32 key, u64 flags = BPF_ANY) {
    std::vector<u64> value(1024, key);
    return update(map_, &key, value.data(), flags);
  }
  long drop(u32 key) { return erase(map_, &key); }
  // A program looks it up: only that counts as a use.
  void use(u32 key) {
    u32 zero = 0;
    update(number_, &zero, &key);
    u8 packet[64] = {};
    bpf_attr attr{};
    attr.test.prog_fd = static_cast<u32>(program_);
    attr.test.data_in = ptr(packet);
    attr.test.data_size_in = sizeof packet;
    bpf_raw(BPF_PROG_TEST_RUN, &attr, sizeof attr);
  }
  // "1-3 7".
  std::string keys() {
    std::vector<u32> all;
    u32 key, *from = nullptr;
    while (next_key(map_, from, &key) == 0) {
      all.push_back(key);
      from = &key;
    }
    std::ranges::sort(all);
    std::string text;
    for (size_t i = 0, end; i < all.size(); i = end) {
      for (end = i + 1; end < all.size() && all[end] == all[end - 1] + 1;) ++end;
      text += (i ? " " : "") + std::to_string(all[i]);
      if (end > i + 1) text += "-" + std::to_string(all[end - 1]);
    }
    return text;
  }

 private:
  int map_, number_, program_;
};

// New keys that follow each other, while some of the old ones are used.
void ask_stream(const std::string& name, u32 type, u32 flags, u32 entries) {
  LruMap map(type, flags, flags ? entries * cpus() : entries);
  for (u32 key = 1; key <= 3 * entries; ++key) {
    map.put(key);
    if (key % 3 == 0) map.use(key / 2);
    if (key % entries == entries / 2) say(name + "/" + std::to_string(key) + " new ones", map.keys());
  }
}

// Anything, by one CPU or two.
void ask_mixture(const std::string& name, u32 type, u32 flags, u32 entries, int used) {
  LruMap map(type, flags, flags ? entries * cpus() : entries);
  std::mt19937 random(entries);
  long refused = 0;
  for (u32 step = 1; step <= 600; ++step) {
    if (used > 1) run_on(static_cast<int>(random() % 2));
    const u32 key = random() % (2 * entries) + 1, kind = random() % 10;
    if (kind < 4) refused += map.put(key) != 0;
    else if (kind == 4) refused += map.put(key, BPF_NOEXIST) != 0;
    else if (kind == 5) refused += map.put(key, BPF_EXIST) != 0;
    else if (kind == 6) refused += map.drop(key) != 0;
    else map.use(key);
    if (step % 100 == 0) say(name + "/step " + std::to_string(step), map.keys() + " refused " + std::to_string(refused));
  }
  run_on(0);
}

}  // namespace

void ask_lru() {
  cpu_set_t before;
  sched_getaffinity(0, sizeof before, &before);
  run_on(0);
  for (u32 type : {u32{BPF_MAP_TYPE_LRU_HASH}, u32{BPF_MAP_TYPE_LRU_PERCPU_HASH}}) {
    const std::string values = type == BPF_MAP_TYPE_LRU_HASH ? "lru/" : "lru per-CPU/";
    for (u32 entries : {1u, 2u, 5u, 64u, 192u, 300u}) {
      const std::string size = std::to_string(entries);
      ask_stream(values + "common list of " + size, type, 0, entries);
      ask_stream(values + "own lists of " + size, type, BPF_F_NO_COMMON_LRU, entries);
      for (int used : {1, 2}) {
        const std::string by = used == 1 ? "/one CPU" : "/two CPUs";
        ask_mixture(values + "common list of " + size + by, type, 0, entries, used);
        ask_mixture(values + "own lists of " + size + by, type, BPF_F_NO_COMMON_LRU, entries, used);
      }
    }
  }
  sched_setaffinity(0, sizeof before, &before);
}

}  // namespace oracle

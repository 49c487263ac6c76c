// SPDX-License-Identifier: Apache-2.0
// Which elements LRU maps let go. What the kernel's keep in long sequences is asked by tests/oracle/lru.cc.
#include <map>
#include <random>
#include <set>

#include "emu/runtime/maps/lru.h"
#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

// A map with u32 keys.
struct Lru {
  World& w;
  std::shared_ptr<MapObject> object;

  Lru(World& world, u32 type, u32 entries, u32 flags = 0) : w(world), object(world.create(type, 4, 8, entries, flags)) {}
  LruMap& map() { return static_cast<LruMap&>(object->map()); }
  s64 put(u32 key, u64 flags = BPF_ANY) {
    u64 value[kCpus] = {key};
    return object->ops().update_value(&w.run, map(), &key, value, flags);
  }
  void put(u32 first, u32 last, u64 flags) {
    for (u32 key = first; key <= last; ++key) REQUIRE(put(key, flags) == 0);
  }
  bool use(u32 key) { return object->ops().lookup(&w.run, map(), &key); }
  s64 erase(u32 key) { return object->ops().erase(&w.run, map(), &key); }
  std::set<u32> keys() {
    std::set<u32> found;
    u32 key, next;
    for (const void* from = nullptr; object->ops().get_next_key(map(), from, &next) == 0; from = &key) {
      REQUIRE(found.insert(next).second);
      key = next;
    }
    return found;
  }
  // Each element that is in a queue is in the table, and says in which queue it is.
  void check_queues() {
    size_t count = 0;
    auto walk = [&](const LruQueue& queue, LruPlace place) {
      u32 length = 0;
      HashLink newer = 0;
      for (HashLink link = queue.newest; link; ++length) {
        auto& e = *static_cast<LruElement*>(map().element(link));
        REQUIRE(e.place == place);
        REQUIRE(e.newer == newer);
        REQUIRE(hash_find(map(), map().key(&e)) == &e);
        newer = link;
        link = e.older;
      }
      REQUIRE(queue.oldest == newer);
      REQUIRE(queue.count == length);
      count += length;
    };
    for (u32 i = 0; i < kCpus; ++i) {
      walk(map().lists[i].active, LruPlace::kActive);
      walk(map().lists[i].inactive, LruPlace::kInactive);
      walk(map().locals[i].pending, LruPlace::kPending);
    }
    REQUIRE(count == keys().size());
  }
};

std::set<u32> range(u32 first, u32 last) {
  std::set<u32> all;
  for (u32 key = first; key <= last; ++key) all.insert(key);
  return all;
}

TEST_CASE("elements of a common list go 128 at a time") {
  for (u32 type : {u32{BPF_MAP_TYPE_LRU_HASH}, u32{BPF_MAP_TYPE_LRU_PERCPU_HASH}}) {
    World w;
    Lru lru(w, type, 256);
    lru.put(1, 256, BPF_NOEXIST);
    CHECK(lru.keys() == range(1, 256));
    lru.put(257, 257, BPF_NOEXIST);
    CHECK(lru.keys() == range(129, 257));
    lru.check_queues();
  }
}

TEST_CASE("what programs looked up outlives what they did not") {
  World w;
  Lru lru(w, BPF_MAP_TYPE_LRU_HASH, 192);
  lru.put(1, 128, BPF_NOEXIST);
  for (u32 key = 1; key <= 64; ++key) REQUIRE(lru.use(key));
  lru.put(129, 256, BPF_NOEXIST);
  std::set<u32> expected = range(129, 256);
  expected.merge(range(1, 64));
  CHECK(lru.keys() == expected);
}

TEST_CASE("a list of a CPU's own lets four go at a time") {
  World w;
  Lru lru(w, BPF_MAP_TYPE_LRU_HASH, 8 * kCpus, BPF_F_NO_COMMON_LRU);
  lru.put(1, 8, BPF_NOEXIST);
  CHECK(lru.keys() == range(1, 8));
  lru.put(9, 9, BPF_NOEXIST);
  CHECK(lru.keys() == range(5, 9));
  w.on_cpu(1);
  lru.put(10, 17, BPF_NOEXIST);
  CHECK(lru.keys() == range(5, 17));
  lru.check_queues();
}

TEST_CASE("a CPU that finds nothing takes another one's") {
  World w;
  Lru lru(w, BPF_MAP_TYPE_LRU_HASH, 4);
  lru.put(1, 2, BPF_NOEXIST);  // all four are CPU 0's now
  w.on_cpu(1);
  lru.put(3, 3, BPF_NOEXIST);
  CHECK(lru.keys() == range(1, 3));
  lru.put(4, 5, BPF_NOEXIST);  // in the place of what this CPU put in before
  CHECK(lru.keys() == std::set<u32>{1, 2, 5});
  lru.check_queues();
}

TEST_CASE("LRU maps never fill up and keep what is used") {
  for (u32 type : {u32{BPF_MAP_TYPE_LRU_HASH}, u32{BPF_MAP_TYPE_LRU_PERCPU_HASH}}) {
    for (u32 flags : {0u, u32{BPF_F_NO_COMMON_LRU}}) {
      World w;
      Lru lru(w, type, 64, flags);
      REQUIRE(lru.put(1'000'000) == 0);
      for (u32 key = 0; key < operations(); ++key) {
        REQUIRE(lru.put(key, BPF_NOEXIST) == 0);
        REQUIRE(lru.use(1'000'000));
      }
      CHECK(lru.keys().size() <= (flags ? 64 / kCpus : 64));
      lru.check_queues();
    }
  }
}

TEST_CASE("LRU maps survive random operations") {
  for (u32 flags : {0u, u32{BPF_F_NO_COMMON_LRU}}) {
    World w;
    Lru lru(w, BPF_MAP_TYPE_LRU_HASH, 40, flags);
    std::map<u32, u64> model;  // what was last written; the map may have forgotten it
    std::mt19937 rng(1);
    for (u32 i = 0; i < operations(); ++i) {
      w.on_cpu(rng() % kCpus);
      u32 key = rng() % 100;
      u64 value = rng(), out;
      if (rng() % 3 == 0) {
        s64 r = lru.erase(key);
        REQUIRE((r == 0 || r == -ENOENT));
        model.erase(key);
      } else if (rng() % 2) {
        REQUIRE(lru.object->ops().update(&w.run, lru.map(), &key, &value, BPF_ANY) == 0);
        model[key] = value;
        if (rng() % 2) lru.use(rng() % 100);
      } else if (lru.object->ops().copy_value(&w.run, lru.map(), &key, &out) == 0) {
        REQUIRE(out == model.at(key));
      }
      if (i % 100 == 0) lru.check_queues();
    }
  }
}

TEST_CASE("an LRU map of one list per CPU rounds its size up") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_LRU_HASH, 4, 8, 5, BPF_F_NO_COMMON_LRU);
  CHECK(map->map().max_entries == 8);
}

}  // namespace
}  // namespace bpfemu::test

// SPDX-License-Identifier: Apache-2.0
// Where values lie: those that processes may write to on pages of their own, and nothing else with them.
#include <set>

#include "emu/runtime/maps/hash_table.h"
#include "emu/runtime/maps/timer_key.h"
#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

constexpr u32 kEntries = 300;
constexpr u32 kWritten[] = {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH};
constexpr u32 kOthers[] = {BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH, BPF_MAP_TYPE_HASH_OF_MAPS,
                           BPF_MAP_TYPE_DEVMAP};

// Every value that the map can have, of each CPU.
std::set<u64> all_values(World& w, MapObject& map) {
  std::set<u64> values;
  for (u32 key = 0; key < kEntries; ++key) {
    std::vector<u8> value(user_value_size(map.map()), 1);
    REQUIRE(map.ops().update_value(&w.run, map.map(), &key, value.data(), BPF_ANY) == 0);
    for (u32 cpu = 0; cpu < (map.ops().per_cpu ? kCpus : 1); ++cpu) {
      void* at = cpu ? map.ops().lookup_percpu(&w.run, map.map(), &key, cpu) : map.ops().lookup(&w.run, map.map(), &key);
      CHECK(values.insert(reinterpret_cast<u64>(at)).second);
    }
  }
  return values;
}

TEST_CASE("values that processes may write to have pages of their own") {
  World w;
  for (u32 type : kWritten) {
    for (u32 size : {1u, 8u, 24u, 5000u}) {
      INFO(type << " " << size);
      auto map = w.create(type, 4, size, kEntries);
      const Map& m = map->map();
      REQUIRE(has_trait(m, kWriteInside));
      CHECK(m.values_at % kPageSize == 0);
      CHECK(m.values_size % kPageSize == 0);
      CHECK(m.values_at != 0);
      CHECK(m.values_at + m.values_size == map->extent().size);
      const u64 first = map->extent().address + m.values_at;
      const std::set<u64> values = all_values(w, *map);
      CHECK(*values.begin() >= first);
      CHECK(*values.rbegin() + size <= first + m.values_size);
      if (type != BPF_MAP_TYPE_HASH && type != BPF_MAP_TYPE_PERCPU_HASH) continue;
      const HashMap& table = static_cast<const HashMap&>(m);
      CHECK(table.elements + u64{kEntries + kCpus + 1} * table.stride <= m.values_at);
    }
  }
}

TEST_CASE("other types waste no room, and what is kept apart does not count") {
  World w;
  for (u32 type : kOthers) {
    MapAttr attr = World::attr(type, 4, type == BPF_MAP_TYPE_DEVMAP ? 8 : 4, kEntries);
    auto map = w.create(attr);
    CHECK(map->map().values_size == 0);
    CHECK(map->map().values_at == 0);
    CHECK((map->ops().committed ? map->ops().committed(attr) : map->map().footprint) == map->map().footprint);
  }
  for (u32 type : kWritten) {
    const MapAttr attr = World::attr(type, 4, 4, 1);
    CHECK(map_ops(type)->committed(attr) < 2 * kPageSize);
    CHECK(map_ops(type)->footprint(attr) == 2 * kPageSize);
  }
}

TEST_CASE("a value leads to its key") {
  World w;
  for (u32 type : {u32{BPF_MAP_TYPE_ARRAY}, u32{BPF_MAP_TYPE_HASH}, u32{BPF_MAP_TYPE_LRU_HASH}}) {
    for (u32 size : {8u, 40u}) {
      auto map = w.create(type, 4, size, kEntries);
      for (u32 key = 0; key < kEntries; ++key) {
        const std::vector<u8> bytes(size, 1);
        REQUIRE(map->ops().update(&w.run, map->map(), &key, bytes.data(), BPF_ANY) == 0);
        const u64 value = reinterpret_cast<u64>(map->ops().lookup(&w.run, map->map(), &key));
        u32 index = 0;
        CHECK(load<u32>(reinterpret_cast<const void*>(timer_key(map->map(), value, index))) == key);
      }
    }
  }
}

}  // namespace
}  // namespace bpfemu::test

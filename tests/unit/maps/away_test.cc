// SPDX-License-Identifier: Apache-2.0
// Hash maps that threads which run programs by themselves change, beside the supervisor.
#include <atomic>
#include <map>
#include <thread>

#include "emu/runtime/inside/element_change.h"
#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

// As ApartEvents does.
void open_to_all(World& w, MapObject& object) {
  Map& map = object.map();
  REQUIRE(w.arena->share({reinterpret_cast<u64>(&map) + map.values_at, map.values_size}));
  map.seats = w.arena->seats();
}

u64 value_of(World& w, MapObject& map, u64 key, u32 cpu) {
  std::vector<u64> values(user_value_size(map.map()) / sizeof(u64));
  if (map.ops().copy_value(&w.run, map.map(), &key, values.data()) != 0) return 0;
  return values.size() > 1 ? values[cpu] : values[0];
}

struct Inside {
  World& w;
  MapObject& map;
  u32 cpu;
  HashMap& table() { return static_cast<HashMap&>(map.map()); }
  // With the supervisor's help where that is needed, as the helpers of the image.
  s64 update(u64 key, u64 value, u64 flags, u32& asked) {
    s64 result;
    if (ElementChange(table(), &key, cpu).update(&value, flags, result)) return result;
    ++asked;
    return map.ops().update(&w.run, map.map(), &key, &value, flags);
  }
  s64 erase(u64 key, u32& asked) {
    s64 result;
    if (ElementChange(table(), &key, cpu).erase(result)) return result;
    ++asked;
    return map.ops().erase(&w.run, map.map(), &key);
  }
};

void model_test(u32 type, u32 flags) {
  constexpr u32 kEntries = 12;
  World w;
  auto map = w.create(type, sizeof(u64), sizeof(u64), kEntries, flags);
  open_to_all(w, *map);
  Inside inside{w, *map, w.run.cpu->id};
  std::map<u64, u64> model;
  std::mt19937_64 rng(type);
  u32 asked = 0, changes = 0;
  for (u32 i = 0, n = operations(); i < n; ++i) {
    u64 key = rng() % (kEntries * 2), value = rng() | 1;
    const bool there = model.contains(key), by_itself = rng() % 2;
    switch (rng() % 4) {
      case 0:
      case 1: {
        const u64 how = rng() % 3;
        const s64 expected = how == BPF_NOEXIST && there          ? -EEXIST
                             : how == BPF_EXIST && !there         ? -ENOENT
                             : !there && model.size() == kEntries ? -E2BIG
                                                                  : 0;
        ++changes;
        const s64 result = by_itself ? inside.update(key, value, how, asked)
                                     : map->ops().update(&w.run, map->map(), &key, &value, how);
        REQUIRE(result == expected);
        if (result == 0) model[key] = value;
        break;
      }
      case 2:
        ++changes;
        REQUIRE((by_itself ? inside.erase(key, asked) : map->ops().erase(&w.run, map->map(), &key)) ==
                (model.erase(key) ? 0 : -ENOENT));
        break;
      default: {
        u64 next;
        u32 count = 0;
        for (const u64* at = nullptr; map->ops().get_next_key(map->map(), at, &next) == 0; at = &key) {
          REQUIRE(model.contains(key = next));
          ++count;
        }
        REQUIRE(count == model.size());
      }
    }
    REQUIRE(value_of(w, *map, key, w.run.cpu->id) == (model.contains(key) ? model[key] : 0));
  }
  CHECK(asked < changes / 2);
}

TEST_CASE("a hash map says the same whoever changes it") {
  for (u32 flags : {0u, u32{BPF_F_NO_PREALLOC}}) model_test(BPF_MAP_TYPE_HASH, flags);
  model_test(BPF_MAP_TYPE_PERCPU_HASH, 0);
}

TEST_CASE("walks pass over what is away") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_HASH, sizeof(u64), sizeof(u64), 8);
  open_to_all(w, *map);
  Inside inside{w, *map, 0};
  u32 asked = 0;
  for (u64 key = 0; key < 8; ++key) REQUIRE(inside.update(key, key, BPF_ANY, asked) == 0);
  CHECK(asked == 8);
  for (u64 key = 0; key < 8; key += 2) REQUIRE(inside.erase(key, asked) == 0);
  CHECK(asked == 8);
  u32 count = 0, in_buckets = 0;
  MapPlace place;
  for (bool more = map->ops().at_place(map->map(), place); more; more = map->ops().next_place(map->map(), place)) {
    CHECK(load<u64>(place.key) % 2 == 1);
    ++count;
  }
  CHECK(count == 4);
  for (u32 bucket = 0; bucket < map->ops().bucket_count(map->map()); ++bucket) {
    u64 keys[8], values[8];
    in_buckets += map->ops().copy_bucket(&w.run, map->map(), bucket, keys, values, 8);
  }
  CHECK(in_buckets == 4);
  const auto callback = [](u64, u64, u64, u64, u64, Run*) -> u64 { return 0; };
  CHECK(map->ops().for_each(&w.run, map->map(), callback, 0, 0) == 4);
}

TEST_CASE("what was about to be put back by a thread that has gone can be put back, and is not there") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_HASH, sizeof(u64), sizeof(u64), 2);
  open_to_all(w, *map);
  HashMap& table = static_cast<HashMap&>(map->map());
  CpuSeat* const seats = w.arena->seats();
  u64 key = 1, value = 5;
  u32 asked = 0;
  Inside inside{w, *map, 1};
  REQUIRE(inside.update(key, value, BPF_ANY, asked) == 0);
  REQUIRE(inside.erase(key, asked) == 0);
  u64* const word = table.word_of(hash_find_linked(table, &key, jhash(&key, sizeof key, table.seed)));
  const auto begin = [&] {
    REQUIRE(take_seat(seats[3], 77));
    __atomic_store_n(word, ElementWord(*word).busy(3, seats[3].taken).word(), __ATOMIC_RELEASE);
  };

  begin();
  s64 result;
  CHECK_FALSE(ElementChange(table, &key, 1).update(&value, BPF_ANY, result));  // somebody is at it
  CHECK(value_of(w, *map, key, 0) == 0);
  w.arena->free_seats(77);
  REQUIRE(ElementChange(table, &key, 1).update(&value, BPF_ANY, result));
  CHECK(result == 0);
  CHECK(value_of(w, *map, key, 0) == 5);

  REQUIRE(inside.erase(key, asked) == 0);
  begin();
  w.arena->free_seats(77);
  REQUIRE(take_seat(seats[3], 78));  // another one's by now
  CHECK(map->ops().update(&w.run, map->map(), &key, &value, BPF_NOEXIST) == 0);
  CHECK(value_of(w, *map, key, 0) == 5);
  w.arena->free_seats(78);

  // One that never comes to an end is not waited for for ever.
  REQUIRE(inside.erase(key, asked) == 0);
  begin();
  CHECK(map->ops().erase(&w.run, map->map(), &key) == -ENOENT);
  CHECK(map->ops().update(&w.run, map->map(), &key, &value, BPF_ANY) == 0);
}

TEST_CASE("whatever stands in the words, a map stays whole") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_HASH, sizeof(u64), sizeof(u64), 16);
  open_to_all(w, *map);
  HashMap& table = static_cast<HashMap&>(map->map());
  std::mt19937_64 rng(3);
  const auto scribble = [&] {
    for (u32 i = 0; i < 17; ++i) {
      u64& word = table.element_states().words[i];
      // Nobody has a seat: whoever seems to be at it has gone.
      do word = rng();
      while (ElementWord(word).standing() == Standing::kBusy && !ElementWord(word).is_abandoned(table.seats, kCpus));
    }
    table.element_states().deleted = rng();
  };
  for (u32 i = 0; i < operations(); ++i) {
    u64 key = rng() % 64, value = rng();
    scribble();
    const s64 result = map->ops().update(&w.run, map->map(), &key, &value, BPF_ANY);
    REQUIRE((result == 0 || result == -E2BIG));
    if (rng() % 2) (void)map->ops().erase(&w.run, map->map(), &key);
  }
  table.element_states().deleted = 1;
  for (u32 i = 0; i < 17; ++i) {
    u64& word = table.element_states().words[i];
    word = ElementWord(word).as(Standing::kAway).word();
  }
  for (u64 key = 100; key < 116; ++key) REQUIRE(map->ops().update(&w.run, map->map(), &key, &key, BPF_NOEXIST) == 0);
}

// Each thread has its own key, and one that all have.
TEST_CASE("threads change a hash map at the same time") {
  constexpr u32 kThreads = 3, kRounds = 20000;
  World w;
  auto map = w.create(BPF_MAP_TYPE_HASH, sizeof(u64), sizeof(u64), 8);
  open_to_all(w, *map);
  HashMap& table = static_cast<HashMap&>(map->map());
  CpuSeat* const seats = w.arena->seats();
  for (u64 key = 0; key <= kThreads; ++key) REQUIRE(map->ops().update(&w.run, map->map(), &key, &key, BPF_ANY) == 0);
  std::atomic<s64> puts = 1, takes = 0;  // of the common key
  std::atomic<u32> wrong = 0;
  std::vector<std::thread> threads;
  for (u32 t = 1; t <= kThreads; ++t) {
    threads.emplace_back([&, t] {
      const u64 own = t, common = 0;
      for (u32 i = 0; i < kRounds; ++i) {
        if (!take_seat(seats[t], t)) continue;
        s64 result;
        const u64 value = u64{i} << 8 | t;
        if (!ElementChange(table, &own, t).update(&value, BPF_ANY, result) || result != 0) ++wrong;
        const HashElement* const e = hash_find(table, &own);
        if (!e || load<u64>(table.value(e)) != value) ++wrong;
        if (!ElementChange(table, &own, t).erase(result) || result != 0 || hash_find(table, &own)) ++wrong;
        if (ElementChange(table, &common, t).update(&value, BPF_NOEXIST, result) && result == 0) ++puts;
        if (ElementChange(table, &common, t).erase(result) && result == 0) ++takes;
        leave_seat(seats[t]);
      }
    });
  }
  for (u32 i = 0; i < kRounds; ++i) {
    u64 key = 100 + i % 8, value = i;
    (void)map->ops().update(&w.run, map->map(), &key, &value, BPF_ANY);
    (void)map->ops().erase(&w.run, map->map(), &key);
  }
  for (std::thread& thread : threads) thread.join();
  const u64 common = 0;
  CHECK(wrong == 0);
  CHECK(puts - takes == (hash_find(table, &common) ? 1 : 0));
}

}  // namespace
}  // namespace bpfemu::test

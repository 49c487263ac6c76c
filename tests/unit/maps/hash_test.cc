// SPDX-License-Identifier: Apache-2.0
// The hash family against std::map, and its errors.
#include <unistd.h>

#include <map>
#include <set>
#include <string>

#include "emu/runtime/maps/hash_table.h"
#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

using Bytes = std::string;

Bytes random_bytes(std::mt19937& rng, u32 size) {
  Bytes bytes(size, 0);
  for (char& c : bytes) c = static_cast<char>(rng());
  return bytes;
}

// A few keys, so that operations meet each other.
Bytes key_of(u32 number, u32 size) {
  Bytes key(size, 0);
  for (u32 i = 0; i < size; ++i) key[i] = static_cast<char>(number * 2654435761u >> (i % 4 * 8));
  return key;
}

std::set<Bytes> all_keys(World&, MapObject& map) {
  std::set<Bytes> keys;
  Bytes key(map.map().key_size, 0), next(map.map().key_size, 0);
  bool first = true;
  while (map.ops().get_next_key(map.map(), first ? nullptr : key.data(), next.data()) == 0) {
    REQUIRE(keys.insert(next).second);
    key = next;
    first = false;
  }
  return keys;
}

struct Shape {
  u32 type, key_size, value_size, entries, flags;
};

void model_test(const Shape& shape) {
  World w;
  auto map = w.create(shape.type, shape.key_size, shape.value_size, shape.entries, shape.flags);
  const MapOps& ops = map->ops();
  Map& m = map->map();
  std::map<Bytes, Bytes> model;
  std::mt19937 rng(shape.type * 1000 + shape.key_size);
  u32 size = static_cast<u32>(user_value_size(m));
  Bytes out(size, 0);
  for (u32 i = 0, n = operations(); i < n; ++i) {
    Bytes key = key_of(rng() % (shape.entries * 2), shape.key_size), value = random_bytes(rng, size);
    bool there = model.contains(key);
    switch (rng() % 8) {
      case 0:
      case 1:
      case 2: {
        u64 flags = rng() % 3;
        s64 expected = flags == BPF_NOEXIST && there             ? -EEXIST
                       : flags == BPF_EXIST && !there            ? -ENOENT
                       : !there && model.size() == shape.entries ? -E2BIG
                                                                 : 0;
        REQUIRE(ops.update_value(&w.run, m, key.data(), value.data(), flags) == expected);
        if (expected == 0) model[key] = value;
        break;
      }
      case 3: REQUIRE(ops.erase(&w.run, m, key.data()) == (model.erase(key) ? 0 : -ENOENT)); break;
      case 4: {
        REQUIRE(ops.lookup_and_delete(&w.run, m, key.data(), out.data()) == (there ? 0 : -ENOENT));
        if (there) REQUIRE(out == model[key]);
        model.erase(key);
        break;
      }
      case 5:
        if (i % 64 == 0) {
          std::set<Bytes> expected;
          for (auto& [k, v] : model) expected.insert(k);
          REQUIRE(all_keys(w, *map) == expected);
        }
        break;
      default: {
        REQUIRE(ops.copy_value(&w.run, m, key.data(), out.data()) == (there ? 0 : -ENOENT));
        if (there) REQUIRE(out == model[key]);
        REQUIRE((ops.lookup(&w.run, m, key.data()) != nullptr) == there);
      }
    }
  }
}

TEST_CASE("hash maps agree with a model") {
  for (u32 flags : {0u, u32{BPF_F_NO_PREALLOC}}) {
    for (u32 key_size : {1u, 2u, 3u, 4u, 7u, 8u, 12u, 16u, 29u}) {
      model_test({BPF_MAP_TYPE_HASH, key_size, 12, key_size == 1 ? 100u : 50u, flags});
    }
    model_test({BPF_MAP_TYPE_PERCPU_HASH, 4, 12, 33, flags});
  }
}

TEST_CASE("hash creation is checked as in the kernel") {
  auto check = [](auto... args) { return World::check(args...); };
  CHECK(check(BPF_MAP_TYPE_HASH, 4, 4, 1) == 0);
  CHECK(check(BPF_MAP_TYPE_HASH, 0, 4, 1) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_HASH, 4, 0, 1) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_HASH, 4, 4, 0) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_MMAPABLE) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_NO_COMMON_LRU) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_ZERO_SEED, false) == -EPERM);
  CHECK(check(BPF_MAP_TYPE_HASH, 4, (4 << 20) - 48 - 4, 1) == -E2BIG);
  CHECK(check(BPF_MAP_TYPE_HASH, 4, (4 << 20) - 48 - 5, 1) == 0);
  CHECK(check(BPF_MAP_TYPE_HASH, 4, 4, (1u << 31) + 1) == -E2BIG);
  CHECK(check(BPF_MAP_TYPE_PERCPU_HASH, 4, 32 << 10, 1) == 0);
  CHECK(check(BPF_MAP_TYPE_PERCPU_HASH, 4, (32 << 10) + 1, 1) == -E2BIG);
  CHECK(check(BPF_MAP_TYPE_PERCPU_HASH, 4, 4, 1, BPF_F_NUMA_NODE) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_LRU_HASH, 4, 4, 1, 0, false) == -EPERM);
  CHECK(check(BPF_MAP_TYPE_LRU_HASH, 4, 4, 1, BPF_F_NO_PREALLOC) == -ENOTSUPP);
  CHECK(check(BPF_MAP_TYPE_LRU_HASH, 4, 4, 1, BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE) == -EINVAL);
}

TEST_CASE("a replaced element keeps its old value where a program still points to it") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_HASH, 4, 8, 1);
  u32 key = 1;
  u64 value = 10;
  REQUIRE(map->ops().update(&w.run, map->map(), &key, &value, BPF_ANY) == 0);
  auto* old = static_cast<u64*>(map->ops().lookup(&w.run, map->map(), &key));
  value = 20;
  REQUIRE(map->ops().update(&w.run, map->map(), &key, &value, BPF_EXIST) == 0);
  CHECK(*old == 10);
  CHECK(*static_cast<u64*>(map->ops().lookup(&w.run, map->map(), &key)) == 20);
  CHECK(map->ops().update(&w.run, map->map(), &key, &value, 3) == -EINVAL);
  CHECK(map->ops().update(&w.run, map->map(), &key, &value, BPF_F_LOCK) == -EINVAL);
}

TEST_CASE("per-CPU values are the CPU's own") {
  World w;
  for (u32 type : {u32{BPF_MAP_TYPE_PERCPU_HASH}, u32{BPF_MAP_TYPE_LRU_PERCPU_HASH}}) {
    auto map = w.create(type, 4, 4, 8);
    u32 key = 3, value = 100;
    w.on_cpu(2);
    REQUIRE(map->ops().update(&w.run, map->map(), &key, &value, BPF_ANY) == 0);
    w.on_cpu(1);
    CHECK(*static_cast<u32*>(map->ops().lookup(&w.run, map->map(), &key)) == 0);
    CHECK(*static_cast<u32*>(map->ops().lookup_percpu(&w.run, map->map(), &key, 2)) == 100);
    CHECK(map->ops().lookup_percpu(&w.run, map->map(), &key, kCpus) == nullptr);
    CHECK(user_value_size(map->map()) == 8 * kCpus);
    u64 all[kCpus];
    REQUIRE(map->ops().copy_value(&w.run, map->map(), &key, all) == 0);
    CHECK(all[0] == 0);
    CHECK(all[2] == 100);
    for (u64& one : all) one += 7;
    REQUIRE(map->ops().update_value(&w.run, map->map(), &key, all, BPF_EXIST) == 0);
    CHECK(*static_cast<u32*>(map->ops().lookup(&w.run, map->map(), &key)) == 7);
    w.on_cpu(0);
  }
}

TEST_CASE("buckets hold every element once") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_HASH, 4, 8, 300);
  for (u32 key = 0; key < 300; ++key) {
    u64 value = key * 3;
    REQUIRE(map->ops().update(&w.run, map->map(), &key, &value, BPF_ANY) == 0);
  }
  std::vector<u32> keys(300);
  std::vector<u64> values(300);
  std::set<u32> seen;
  for (u32 bucket = 0; bucket < map->ops().bucket_count(map->map()); ++bucket) {
    u32 count = map->ops().copy_bucket(&w.run, map->map(), bucket, keys.data(), values.data(), 300);
    for (u32 i = 0; i < count; ++i) {
      CHECK(values[i] == keys[i] * 3);
      CHECK(seen.insert(keys[i]).second);
    }
    if (count) CHECK(map->ops().copy_bucket(&w.run, map->map(), bucket, nullptr, nullptr, count - 1) == count);
  }
  CHECK(seen.size() == 300);
}

TEST_CASE("for_each may delete and stops on request") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_HASH, 4, 8, 50);
  for (u32 key = 0; key < 50; ++key) {
    u64 value = key;
    REQUIRE(map->ops().update(&w.run, map->map(), &key, &value, BPF_ANY) == 0);
  }
  MapCallback erase_odd = [](u64 m, u64 key, u64 value, u64 context, u64, Run* run) -> u64 {
    ++*reinterpret_cast<u64*>(context);
    Map& map = *reinterpret_cast<Map*>(m);
    if (*reinterpret_cast<u64*>(value) % 2) map_ops(map.type)->erase(run, map, reinterpret_cast<void*>(key));
    return 0;
  };
  u64 calls = 0;
  CHECK(map->ops().for_each(&w.run, map->map(), erase_odd, reinterpret_cast<u64>(&calls), 0) == 50);
  CHECK(calls == 50);
  CHECK(all_keys(w, *map).size() == 25);
  MapCallback stop = [](u64, u64, u64, u64, u64, Run*) -> u64 { return 1; };
  CHECK(map->ops().for_each(&w.run, map->map(), stop, 0, 0) == 1);
  CHECK(map->ops().for_each(&w.run, map->map(), stop, 0, 1) == -EINVAL);
}

TEST_CASE("copies leave special fields of values alone") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_HASH, 4, 24, 4);
  map->spin_lock_offset = 4;
  map->timer_offset = 8;
  map->set_value_fields();
  u32 key = 1;
  u32 in[6] = {1, 2, 3, 4, 5, 6}, out[6];
  REQUIRE(map->ops().update(&w.run, map->map(), &key, in, BPF_ANY) == 0);
  auto* value = static_cast<u32*>(map->ops().lookup(&w.run, map->map(), &key));
  CHECK(value[0] == 1);
  CHECK(value[1] == 0);
  CHECK(value[5] == 0);
  REQUIRE(map->ops().update(&w.run, map->map(), &key, in, BPF_F_LOCK) == 0);
  CHECK(value[1] == 0);
  value[2] = 99;
  REQUIRE(map->ops().copy_value(&w.run, map->map(), &key, out) == 0);
  CHECK(out[0] == 1);
  CHECK(out[2] == 0);
}

TEST_CASE("a hash of maps holds maps") {
  World w;
  auto inner = w.create(BPF_MAP_TYPE_ARRAY, 4, 4, 1), outer = w.create(BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 2);
  inner->map().id = 42;
  u32 key = 5, id;
  u64 old, address = reinterpret_cast<u64>(&inner->map());
  CHECK(outer->ops().lookup(&w.run, outer->map(), &key) == nullptr);
  CHECK(outer->ops().exchange(outer->map(), &key, 0, 0, &old) == -ENOENT);
  REQUIRE(outer->ops().exchange(outer->map(), &key, address, BPF_ANY, &old) == 0);
  CHECK(old == 0);
  CHECK(outer->ops().lookup(&w.run, outer->map(), &key) == &inner->map());
  REQUIRE(outer->ops().copy_value(&w.run, outer->map(), &key, &id) == 0);
  CHECK(id == 42);
  CHECK(outer->ops().exchange(outer->map(), &key, address, BPF_NOEXIST, &old) == -EEXIST);
  REQUIRE(outer->ops().exchange(outer->map(), &key, 0, 0, &old) == 0);
  CHECK(old == address);
}

TEST_CASE("what a kernel would allocate at once is bounded by the machine's memory") {
  World w;
  u64 memory = static_cast<u64>(sysconf(_SC_PHYS_PAGES)) * kPageSize;
  u32 entries = static_cast<u32>(memory / (1 << 20)) + 1;
  MapAttr big = World::attr(BPF_MAP_TYPE_HASH, 8, 1 << 20, entries);
  auto refused = MapObject::create(*w.arena, big, *map_ops(BPF_MAP_TYPE_HASH));
  REQUIRE(!refused);
  CHECK(refused.error().value == ENOMEM);
  big.max_entries = entries / 2 + 1;
  auto half = MapObject::create(*w.arena, big, *map_ops(BPF_MAP_TYPE_HASH));
  REQUIRE(half);
  CHECK_FALSE(MapObject::create(*w.arena, big, *map_ops(BPF_MAP_TYPE_HASH)));
  half->reset();
  CHECK(MapObject::create(*w.arena, big, *map_ops(BPF_MAP_TYPE_HASH)));
}

TEST_CASE("huge maps cost nothing until they are used") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_HASH, 8, 64, 1 << 24, BPF_F_NO_PREALLOC);
  u64 key = 1, value[8] = {};
  CHECK(map->ops().update(&w.run, map->map(), &key, value, BPF_ANY) == 0);
  MapAttr beyond = World::attr(BPF_MAP_TYPE_HASH, 8, 1 << 20, 1 << 20);
  auto none = MapObject::create(*w.arena, beyond, *map_ops(BPF_MAP_TYPE_HASH));
  REQUIRE(!none);
  CHECK(none.error().value == ENOMEM);
}

// As a real 6.1 lists them.
TEST_CASE("with BPF_F_ZERO_SEED the elements have the kernel's order") {
  constexpr u32 kKeys = 8, kStep = 37;
  constexpr std::pair<u32, const char*> kOrders[] = {
      {1, "42305716"},  {3, "61532740"},  {4, "53460712"},  {5, "42160375"},  {8, "56207413"},  {12, "54706231"},
      {13, "34167205"}, {16, "26541073"}, {23, "04263751"}, {24, "53240617"}, {27, "63750421"},
  };
  World w;
  for (auto [key_size, order] : kOrders) {
    auto map = w.create(BPF_MAP_TYPE_HASH, key_size, 8, kKeys, BPF_F_ZERO_SEED);
    u64 value = 0;
    for (u32 i = 0; i < kKeys; ++i) {
      Bytes key(key_size, 0);
      for (u32 at = 0; at < key_size; ++at) key[at] = static_cast<char>(i * kStep + at);
      REQUIRE(map->ops().update(&w.run, map->map(), key.data(), &value, BPF_ANY) == 0);
    }
    std::string seen;
    Bytes key(key_size, 0);
    const void* before = nullptr;
    while (map->ops().get_next_key(map->map(), before, key.data()) == 0) {
      for (u32 i = 0; i < kKeys; ++i) {
        if (static_cast<char>(i * kStep) == key[0]) seen += static_cast<char>('0' + i);
      }
      before = key.data();
    }
    INFO("keys of " << key_size << " bytes");
    CHECK(seen == order);
  }
}

TEST_CASE("an iterator comes to each element once, whatever is deleted on the way") {
  for (u32 type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_PERCPU_HASH}) {
    World w;
    auto map = w.create(type, 4, 8, 64);
    const MapOps& ops = map->ops();
    const std::vector<u64> values(kCpus, 7);
    for (u32 key = 0; key < 40; ++key) REQUIRE(ops.update_value(&w.run, map->map(), &key, values.data(), BPF_ANY) == 0);
    std::set<u32> seen;
    MapPlace place;
    for (bool found = ops.at_place(map->map(), place); found; found = ops.next_place(map->map(), place)) {
      const u32 key = load<u32>(place.key);
      CHECK(seen.insert(key).second);
      CHECK(load<u64>(place.value) == 7);
      // Whoever goes on from a place alone finds the same.
      MapPlace again{.bucket = place.bucket, .skipped = place.skipped};
      REQUIRE(ops.at_place(map->map(), again));
      CHECK(again.key == place.key);
    }
    CHECK(seen.size() == 40);
    CHECK_FALSE(ops.at_place(map->map(), place));
    seen.clear();
    place = {};
    for (bool found = ops.at_place(map->map(), place); found; found = ops.next_place(map->map(), place)) {
      const u32 key = load<u32>(place.key);
      seen.insert(key);
      if (key % 2) REQUIRE(ops.erase(&w.run, map->map(), &key) == 0);
    }
    CHECK(seen.size() == 40);
  }
}

}  // namespace
}  // namespace bpfemu::test

// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/maps/array.h"

#include "emu/runtime/maps/object_array.h"
#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

TEST_CASE("arrays agree with a model") {
  for (u32 type : {u32{BPF_MAP_TYPE_ARRAY}, u32{BPF_MAP_TYPE_PERCPU_ARRAY}}) {
    World w;
    auto map = w.create(type, 4, 12, 50);
    const MapOps& ops = map->ops();
    Map& m = map->map();
    std::string zero(user_value_size(m), 0), out = zero;
    std::vector<std::string> model(50, zero);
    std::mt19937 rng(type);
    for (u32 i = 0; i < operations(); ++i) {
      u32 key = rng() % 55;
      if (rng() % 2) {
        std::string value = zero;
        for (char& c : value) c = static_cast<char>(rng());
        // Only value_size bytes of an array's element exist for user space.
        u64 flags = rng() % 3;
        s64 expected = key >= 50 ? -E2BIG : flags == BPF_NOEXIST ? -EEXIST : 0;
        REQUIRE(ops.update_value(&w.run, m, &key, value.data(), flags) == expected);
        if (expected == 0) model[key] = value;
      } else {
        REQUIRE(ops.copy_value(&w.run, m, &key, out.data()) == (key < 50 ? 0 : -ENOENT));
        if (key < 50) REQUIRE(out == model[key]);
        REQUIRE((ops.lookup(&w.run, m, &key) != nullptr) == (key < 50));
      }
    }
    u32 key = 1;
    CHECK(ops.erase(&w.run, m, &key) == -EINVAL);
    CHECK(ops.update_value(&w.run, m, &key, zero.data(), 3) == -EINVAL);
  }
}

TEST_CASE("array keys follow each other") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_ARRAY, 4, 4, 3);
  auto next = [&](const u32* key) -> s64 {
    u32 found = 77;
    s64 error = map->ops().get_next_key(map->map(), key, &found);
    return error ? error : found;
  };
  u32 key = 0;
  CHECK(next(nullptr) == 0);
  CHECK(next(&key) == 1);
  key = 2;
  CHECK(next(&key) == -ENOENT);
  key = 3;
  CHECK(next(&key) == 0);
}

TEST_CASE("array creation is checked as in the kernel") {
  auto check = [](auto... args) { return World::check(args...); };
  CHECK(check(BPF_MAP_TYPE_ARRAY, 4, 1, 1) == 0);
  CHECK(check(BPF_MAP_TYPE_ARRAY, 8, 1, 1) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_ARRAY, 4, 0, 1) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_ARRAY, 4, 1, 0) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_ARRAY, 4, 1, 1, BPF_F_NO_PREALLOC) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_ARRAY, 4, 1, 1, BPF_F_PRESERVE_ELEMS) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_ARRAY, 4, 0x80000000, 1) == -E2BIG);
  CHECK(check(BPF_MAP_TYPE_ARRAY, 4, 1, 0xffffffff, 0, false) == -E2BIG);
  CHECK(check(BPF_MAP_TYPE_ARRAY, 4, 1, 0xffffffff) == 0);
  CHECK(check(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 1, 1, BPF_F_MMAPABLE) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_PERCPU_ARRAY, 4, (32 << 10) + 1, 1) == -E2BIG);
  CHECK(check(BPF_MAP_TYPE_PROG_ARRAY, 4, 8, 1) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1, BPF_F_RDONLY_PROG) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 1, BPF_F_PRESERVE_ELEMS) == 0);
}

TEST_CASE("an mmapable array is a run of pages") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_ARRAY, 4, 12, 1000, BPF_F_MMAPABLE);
  u64 offset, length;
  REQUIRE(map->ops().mmap_area(map->map(), &offset, &length) == 0);
  CHECK(offset % kPageSize == 0);
  CHECK(length == 16384);
  u32 key = 0;
  CHECK(map->ops().lookup(&w.run, map->map(), &key) == reinterpret_cast<u8*>(&map->map()) + offset);
  auto plain = w.create(BPF_MAP_TYPE_ARRAY, 4, 12, 1000);
  CHECK(plain->ops().mmap_area(plain->map(), &offset, &length) == -EINVAL);
}

TEST_CASE("a direct value needs an array of one") {
  World w;
  u64 address;
  auto one = w.create(BPF_MAP_TYPE_ARRAY, 4, 100, 1), two = w.create(BPF_MAP_TYPE_ARRAY, 4, 100, 2);
  u32 key = 0;
  REQUIRE(one->ops().direct_value(one->map(), 99, &address) == 0);
  CHECK(address == reinterpret_cast<u64>(one->ops().lookup(&w.run, one->map(), &key)));
  CHECK(one->ops().direct_value(one->map(), 100, &address) == -EINVAL);
  CHECK(two->ops().direct_value(two->map(), 0, &address) == -ENOTSUPP);
}

TEST_CASE("arrays of objects hold addresses and show ids") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2);
  ProgramText program{};
  program.id = 9;
  u32 key = 1, id = 0;
  u64 old;
  REQUIRE(map->ops().exchange(map->map(), &key, reinterpret_cast<u64>(&program), BPF_ANY, &old) == 0);
  CHECK(object_at(map->map(), 1) == reinterpret_cast<u64>(&program));
  REQUIRE(map->ops().copy_value(&w.run, map->map(), &key, &id) == 0);
  CHECK(id == 9);
  CHECK(map->ops().exchange(map->map(), &key, 8, BPF_EXIST, &old) == -EINVAL);
  REQUIRE(map->ops().exchange(map->map(), &key, 0, BPF_ANY, &old) == 0);
  CHECK(old == reinterpret_cast<u64>(&program));
  CHECK(map->ops().exchange(map->map(), &key, 0, BPF_ANY, &old) == -ENOENT);
  CHECK(map->ops().copy_value(&w.run, map->map(), &key, &id) == -ENOENT);
  key = 2;
  CHECK(map->ops().exchange(map->map(), &key, 8, BPF_ANY, &old) == -E2BIG);
  CHECK(object_at(map->map(), 2) == 0);
  auto events = w.create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2);
  CHECK(events->ops().copy_value(&w.run, events->map(), &key, &id) == -ENOTSUPP);
}

TEST_CASE("memory of a released map reads as zero in the next one") {
  World w;
  u64 address, value = ~u64{0};
  u32 key = 0;
  {
    auto map = w.create(BPF_MAP_TYPE_ARRAY, 4, 8, 4);
    address = map->extent().address;
    REQUIRE(map->ops().update(&w.run, map->map(), &key, &value, BPF_ANY) == 0);
  }
  auto map = w.create(BPF_MAP_TYPE_ARRAY, 4, 8, 4);
  REQUIRE(map->extent().address == address);
  CHECK(*static_cast<u64*>(map->ops().lookup(&w.run, map->map(), &key)) == 0);
}

TEST_CASE("an iterator's key is its place in the array") {
  World w;
  for (u32 type : {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY}) {
    auto map = w.create(type, 4, 8, 3);
    MapPlace place;
    u32 count = 0;
    for (bool found = map->ops().at_place(map->map(), place); found; found = map->ops().next_place(map->map(), place)) {
      CHECK(place.key == &place.bucket);
      CHECK(place.bucket == count++);
      CHECK(place.value == map->ops().lookup(&w.run, map->map(), place.key));
    }
    CHECK(count == 3);
    CHECK_FALSE(map->ops().next_place(map->map(), place));
  }
  CHECK_FALSE(map_ops(BPF_MAP_TYPE_QUEUE)->at_place);
}

}  // namespace
}  // namespace bpfemu::test

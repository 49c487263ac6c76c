// SPDX-License-Identifier: Apache-2.0
#include <deque>
#include <set>

#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

void model_test(u32 type) {
  World w;
  bool stack = type == BPF_MAP_TYPE_STACK;
  auto map = w.create(type, 0, 6, 10);
  const MapOps& ops = map->ops();
  std::deque<std::string> model;
  std::mt19937 rng(type);
  std::string out(6, 0);
  for (u32 i = 0; i < operations(); ++i) {
    if (rng() % 2) {
      std::string value(6, static_cast<char>(rng()));
      u64 flags = rng() % 4;
      s64 expected = flags & BPF_NOEXIST || flags > BPF_EXIST ? -EINVAL : model.size() == 10 && !flags ? -E2BIG : 0;
      REQUIRE(ops.update_value(&w.run, map->map(), nullptr, value.data(), flags) == expected);
      if (expected) continue;
      if (model.size() == 10) model.pop_front();
      model.push_back(value);
    } else {
      bool take = rng() % 2;
      s64 r = take ? ops.pop(&w.run, map->map(), out.data()) : ops.copy_value(&w.run, map->map(), nullptr, out.data());
      REQUIRE(r == (model.empty() ? -ENOENT : 0));
      std::string expected = model.empty() ? std::string(6, 0) : stack ? model.back() : model.front();
      REQUIRE(out == expected);
      if (take && !model.empty()) stack ? model.pop_back() : model.pop_front();
    }
  }
}

TEST_CASE("queues and stacks agree with a model") {
  model_test(BPF_MAP_TYPE_QUEUE);
  model_test(BPF_MAP_TYPE_STACK);
}

TEST_CASE("queues refuse what has no meaning") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_QUEUE, 0, 4, 1);
  u32 key = 0;
  CHECK(map->ops().get_next_key(map->map(), nullptr, &key) == -EINVAL);
  CHECK(map->ops().erase(&w.run, map->map(), &key) == -EINVAL);
  CHECK(World::check(BPF_MAP_TYPE_QUEUE, 4, 4, 1) == -EINVAL);
  CHECK(World::check(BPF_MAP_TYPE_QUEUE, 0, 4, 1, 0, false) == -EPERM);
  CHECK(World::check(BPF_MAP_TYPE_STACK, 0, (4 << 20) + 1, 1) == -E2BIG);
}

TEST_CASE("a bloom filter knows what was pushed") {
  World w;
  MapAttr attr = World::attr(BPF_MAP_TYPE_BLOOM_FILTER, 0, 12, 1000);
  attr.extra = 3;
  auto map = w.create(attr);
  std::mt19937 rng(3);
  std::set<std::string> pushed;
  for (u32 i = 0; i < 1000; ++i) {
    std::string value(12, 0);
    for (char& c : value) c = static_cast<char>(rng());
    REQUIRE(map->ops().push(&w.run, map->map(), value.data(), 0) == 0);
    pushed.insert(value);
  }
  for (std::string value : pushed) REQUIRE(map->ops().peek(&w.run, map->map(), value.data()) == 0);
  u32 wrong = 0;
  for (u32 i = 0; i < 1000; ++i) {
    std::string value(12, 0);
    for (char& c : value) c = static_cast<char>(rng());
    wrong += map->ops().peek(&w.run, map->map(), value.data()) == 0;
  }
  CHECK(wrong < 250);
  std::string value(12, 0);
  CHECK(map->ops().push(&w.run, map->map(), value.data(), BPF_EXIST) == -EINVAL);
  CHECK(map->ops().pop(&w.run, map->map(), value.data()) == -EOPNOTSUPP);
  attr.extra = 16;
  CHECK(map_ops(attr.type)->alloc_check(attr) == -EINVAL);
}

}  // namespace
}  // namespace bpfemu::test

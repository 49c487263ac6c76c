// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <optional>

#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

struct Prefix {
  u32 length;
  u8 data[3];
  auto operator<=>(const Prefix&) const = default;

  bool bit(u32 i) const { return data[i / 8] >> (7 - i % 8) & 1; }
  bool covers(const Prefix& other) const {
    if (length > other.length) return false;
    for (u32 i = 0; i < length; ++i) {
      if (bit(i) != other.bit(i)) return false;
    }
    return true;
  }
  // Bits past the length count for nothing.
  Prefix masked() const {
    Prefix p = *this;
    for (u32 i = length; i < 24; ++i) p.data[i / 8] &= static_cast<u8>(~(0x80 >> i % 8));
    return p;
  }
};

TEST_CASE("LPM tries agree with a model") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_LPM_TRIE, 7, 8, 60, BPF_F_NO_PREALLOC);
  const MapOps& ops = map->ops();
  std::map<Prefix, u64> model;
  std::mt19937 rng(11);
  for (u32 i = 0; i < operations(); ++i) {
    Prefix key{static_cast<u32>(rng() % 26),
               {static_cast<u8>(rng() % 4), static_cast<u8>(rng() % 2 << 7), static_cast<u8>(rng())}};
    bool valid = key.length <= 24;
    Prefix known = valid ? key.masked() : key;
    u64 value = rng(), out = 0;
    u32 action = rng() % 4;
    if (action == 0) {
      u64 flags = rng() % 3;
      s64 expected = !valid                                          ? -EINVAL
                     : model.contains(known) && flags == BPF_NOEXIST ? -EEXIST
                     : model.contains(known)                         ? 0
                     : flags == BPF_EXIST                            ? -ENOENT
                     : model.size() == 60                            ? -ENOSPC
                                                                     : 0;
      REQUIRE(ops.update(&w.run, map->map(), &key, &value, flags) == expected);
      if (expected == 0) model[known] = value;
    } else if (action == 1) {
      s64 expected = !valid ? -EINVAL : model.erase(known) ? 0 : -ENOENT;
      REQUIRE(ops.erase(&w.run, map->map(), &key) == expected);
    } else if (action == 2) {
      std::optional<Prefix> best;
      for (auto& [prefix, v] : model) {
        if (valid && prefix.covers(key) && (!best || prefix.length > best->length)) best = prefix;
      }
      REQUIRE(ops.copy_value(&w.run, map->map(), &key, &out) == (best ? 0 : -ENOENT));
      if (best) REQUIRE(out == model[*best]);
    } else if (i % 16 == 0) {
      // Postorder: whatever covers a prefix comes after it, and each comes once.
      std::vector<Prefix> seen;
      Prefix at{}, next{};
      const void* from = nullptr;
      while (ops.get_next_key(map->map(), from, &next) == 0) {
        for (const Prefix& before : seen) REQUIRE_FALSE(before.covers(next));
        REQUIRE(model.contains(next.masked()));
        seen.push_back(next.masked());
        at = next;
        from = &at;
      }
      REQUIRE(seen.size() == model.size());
    }
  }
}

TEST_CASE("LPM nodes are memory that is counted when they are made") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_LPM_TRIE, 7, 8, 60, BPF_F_NO_PREALLOC);
  const MapOps& ops = map->ops();
  const u64 value = 1;
  const auto update = [&](u8 first) {
    const Prefix key{8, {first}};
    return ops.update(&w.run, map->map(), &key, &value, BPF_ANY);
  };
  CHECK(update(1) == 0);
  w.env.exhausted = true;
  CHECK(update(2) == -ENOMEM);
  const Prefix known{8, {1}};
  CHECK(ops.erase(&w.run, map->map(), &known) == 0);
  CHECK(update(2) == 0);  // in the other's place
  w.env.exhausted = false;
  CHECK(update(3) == 0);
}

TEST_CASE("LPM creation is checked as in the kernel") {
  auto check = [](auto... args) { return World::check(BPF_MAP_TYPE_LPM_TRIE, args...); };
  CHECK(check(8, 1, 1, BPF_F_NO_PREALLOC) == 0);
  CHECK(check(8, 1, 1) == -EINVAL);
  CHECK(check(4, 1, 1, BPF_F_NO_PREALLOC) == -EINVAL);
  CHECK(check(260, 1, 1, BPF_F_NO_PREALLOC) == 0);
  CHECK(check(261, 1, 1, BPF_F_NO_PREALLOC) == -EINVAL);
  CHECK(check(8, 0, 1, BPF_F_NO_PREALLOC) == -EINVAL);
  CHECK(check(8, 1, 1, BPF_F_NO_PREALLOC, false) == -EPERM);
}

TEST_CASE("the kernel's example of postorder") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_LPM_TRIE, 8, 1, 8, BPF_F_NO_PREALLOC);
  struct Key {
    u32 length;
    u8 data[4];
  } keys[] = {{16, {192, 168, 0, 0}}, {24, {192, 168, 0, 0}}, {24, {192, 168, 128, 0}}, {24, {192, 168, 1, 0}}}, next;
  u8 value = 1;
  for (Key& key : keys) REQUIRE(map->ops().update(&w.run, map->map(), &key, &value, BPF_ANY) == 0);
  std::vector<u32> third;
  const void* from = nullptr;
  Key at;
  while (map->ops().get_next_key(map->map(), from, &next) == 0) {
    third.push_back(next.data[2] + next.length * 1000);
    at = next;
    from = &at;
  }
  CHECK(third == std::vector<u32>{24000, 24001, 24128, 16000});
}

}  // namespace
}  // namespace bpfemu::test

// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/maps/stack_trace.h"

#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

TEST_CASE("stacks are kept under their id") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_STACK_TRACE, 4, 8 * 5, 2);
  const MapOps& ops = map->ops();
  u64 a[] = {1, 2, 3}, out[5];
  s64 id = stack_put(&w.run, map->map(), a, 3, 0);
  REQUIRE(id >= 0);
  CHECK(stack_put(&w.run, map->map(), a, 3, 0) == id);
  u32 key = static_cast<u32>(id);
  REQUIRE(ops.copy_value(&w.run, map->map(), &key, out) == 0);
  CHECK(out[2] == 3);
  CHECK(out[3] == 0);
  u32 next;
  REQUIRE(ops.get_next_key(map->map(), nullptr, &next) == 0);
  CHECK(next == key);
  CHECK(ops.get_next_key(map->map(), &key, &next) == -ENOENT);
  CHECK(ops.update_value(&w.run, map->map(), &key, out, 0) == -EINVAL);

  // Another stack with the same id is refused, replaced, or (fast comparison cannot be fooled by a different hash)
  // kept.
  u64 b[] = {1, 2, 0};
  do {
    ++b[2];
  } while (b[2] == 3 || [&] {
    auto probe = w.create(BPF_MAP_TYPE_STACK_TRACE, 4, 8 * 5, 2);
    return stack_put(&w.run, probe->map(), b, 3, 0) != id;
  }());
  CHECK(stack_put(&w.run, map->map(), b, 3, 0) == -EEXIST);
  CHECK(stack_put(&w.run, map->map(), b, 3, BPF_F_REUSE_STACKID) == id);
  REQUIRE(ops.copy_value(&w.run, map->map(), &key, out) == 0);
  CHECK(out[2] == b[2]);
  REQUIRE(ops.erase(&w.run, map->map(), &key) == 0);
  CHECK(ops.erase(&w.run, map->map(), &key) == -ENOENT);
  key = 2;
  CHECK(ops.erase(&w.run, map->map(), &key) == -E2BIG);
  CHECK(ops.copy_value(&w.run, map->map(), &key, out) == -ENOENT);
}

TEST_CASE("a full stack map refuses new stacks") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_STACK_TRACE, 4, 16, 3);  // four slots, three elements
  u32 kept = 0, refused = 0;
  for (u64 ip = 1; ip < 100; ++ip) {
    s64 r = stack_put(&w.run, map->map(), &ip, 1, 0);
    kept += r >= 0;
    refused += r == -ENOMEM;
    REQUIRE((r >= 0 || r == -EEXIST || r == -ENOMEM));
  }
  CHECK(kept == 3);
  CHECK(refused > 0);
}

TEST_CASE("stacks by build id say their address") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_STACK_TRACE, 4, 2 * sizeof(bpf_stack_build_id), 8, BPF_F_STACK_BUILD_ID);
  CHECK(stack_depth(map->map()) == 2);
  u64 ips[] = {0x1000, 0x2000};
  s64 id = stack_put(&w.run, map->map(), ips, 2, 0);
  REQUIRE(id >= 0);
  CHECK(stack_put(&w.run, map->map(), ips, 2, 0) == id);
  bpf_stack_build_id out[2];
  u32 key = static_cast<u32>(id);
  REQUIRE(map->ops().copy_value(&w.run, map->map(), &key, out) == 0);
  CHECK(out[1].status == BPF_STACK_BUILD_ID_IP);
  CHECK(out[1].ip == 0x2000);
}

TEST_CASE("stack map creation is checked as in the kernel") {
  auto check = [](auto... args) { return World::check(BPF_MAP_TYPE_STACK_TRACE, args...); };
  CHECK(check(4, 127 * 8, 1) == 0);
  CHECK(check(4, 128 * 8, 1) == -EINVAL);
  CHECK(check(4, 12, 1) == -EINVAL);
  CHECK(check(8, 8, 1) == -EINVAL);
  CHECK(check(4, 8, 0) == -EINVAL);
  CHECK(check(4, 8, (1u << 31) + 1) == -E2BIG);
  CHECK(check(4, 8, 1, BPF_F_RDONLY_PROG) == -EINVAL);
  CHECK(check(4, 8, 1, BPF_F_STACK_BUILD_ID) == -EINVAL);
  CHECK(check(4, 8, 1, 0, false) == -EPERM);
}

}  // namespace
}  // namespace bpfemu::test

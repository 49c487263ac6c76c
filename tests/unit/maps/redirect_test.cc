// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/contexts.h"
#include "emu/runtime/maps/cgroup_storage.h"
#include "emu/runtime/maps/redirect.h"
#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

TEST_CASE("CPU maps hold queue sizes") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_CPUMAP, 4, 8, 6);
  const MapOps& ops = map->ops();
  struct {
    u32 size;
    s32 program;
  } value = {192, 7}, out;
  u32 key = 1;
  CHECK(ops.copy_value(&w.run, map->map(), &key, &out) == -ENOENT);
  REQUIRE(ops.update_value(&w.run, map->map(), &key, &value, BPF_ANY) == 0);
  REQUIRE(ops.copy_value(&w.run, map->map(), &key, &out) == 0);
  CHECK(out.size == 192);
  CHECK(out.program == 7);
  value.program = kNoTargetProgram;
  CHECK(ops.update_value(&w.run, map->map(), &key, &value, BPF_ANY) == -ENOMEM);
  value.program = 0;
  CHECK(ops.update_value(&w.run, map->map(), &key, &value, BPF_NOEXIST) == -EEXIST);
  value.size = 16385;
  CHECK(ops.update_value(&w.run, map->map(), &key, &value, BPF_ANY) == -EOVERFLOW);
  value.size = 0;
  REQUIRE(ops.update_value(&w.run, map->map(), &key, &value, BPF_ANY) == 0);
  CHECK(ops.copy_value(&w.run, map->map(), &key, &out) == -ENOENT);
  key = kCpus;
  CHECK(ops.update_value(&w.run, map->map(), &key, &value, BPF_ANY) == -ENODEV);
  key = 6;
  CHECK(ops.update_value(&w.run, map->map(), &key, &value, BPF_ANY) == -E2BIG);
  CHECK(ops.erase(&w.run, map->map(), &key) == -EINVAL);
  CHECK(World::check(BPF_MAP_TYPE_CPUMAP, 4, 4, 8193) == -E2BIG);
  CHECK(World::check(BPF_MAP_TYPE_CPUMAP, 4, 6, 1) == -EINVAL);
}

TEST_CASE("device maps hold interfaces") {
  World w;
  for (u32 type : {u32{BPF_MAP_TYPE_DEVMAP}, u32{BPF_MAP_TYPE_DEVMAP_HASH}}) {
    auto map = w.create(type, 4, 4, 2);
    bool hash = type == BPF_MAP_TYPE_DEVMAP_HASH;
    CHECK((map->map().flags & BPF_F_RDONLY_PROG));
    u32 key = 1, value = 3, out;
    REQUIRE(map->ops().update_value(&w.run, map->map(), &key, &value, hash ? BPF_EXIST : BPF_ANY) == 0);
    REQUIRE(map->ops().copy_value(&w.run, map->map(), &key, &out) == 0);
    CHECK(out == 3);
    CHECK(map->ops().update_value(&w.run, map->map(), &key, &value, BPF_NOEXIST) == -EEXIST);
    REQUIRE(map->ops().erase(&w.run, map->map(), &key) == 0);
    CHECK(map->ops().erase(&w.run, map->map(), &key) == (hash ? -ENOENT : 0));
    value = 0;
    CHECK(map->ops().update_value(&w.run, map->map(), &key, &value, BPF_ANY) == (hash ? -EINVAL : 0));
    CHECK(World::check(type, 4, 4, 1, 0, false) == -EPERM);
    CHECK(World::check(type, 4, 4, 1, BPF_F_RDONLY_PROG) == -EINVAL);
  }
}

TEST_CASE("socket maps give sockets and show cookies") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_SOCKMAP, 4, 8, 2), hash = w.create(BPF_MAP_TYPE_SOCKHASH, 12, 4, 2);
  u32 key[3] = {};
  u64 value = 3, old = 0;
  CHECK(map->ops().copy_value(&w.run, map->map(), key, &value) == -ENOENT);
  CHECK(map->ops().exchange(map->map(), key, 0, BPF_ANY, &old) == -EINVAL);
  CHECK(hash->ops().copy_value(&w.run, hash->map(), key, &value) == -ENOSPC);
  CHECK(hash->ops().get_next_key(hash->map(), nullptr, key) == -ENOENT);
  CHECK(hash->ops().exchange(hash->map(), key, 0, BPF_ANY, &old) == -ENOENT);
  RunSock sock{};
  sock.cookie = 99;
  const u64 address = reinterpret_cast<u64>(&sock);
  for (const auto& each : {map, hash}) {
    const MapOps& ops = each->ops();
    CHECK(ops.exchange(each->map(), key, address, BPF_EXIST, &old) == -ENOENT);
    REQUIRE(ops.exchange(each->map(), key, address, BPF_NOEXIST, &old) == 0);
    CHECK(old == 0);
    CHECK(ops.exchange(each->map(), key, address, BPF_NOEXIST, &old) == -EEXIST);
    CHECK(ops.exchange(each->map(), key, address, 3, &old) == -EINVAL);
    CHECK(ops.lookup(&w.run, each->map(), key) == &sock);
  }
  REQUIRE(map->ops().copy_value(&w.run, map->map(), key, &value) == 0);
  CHECK(value == 99);
  REQUIRE(map->ops().exchange(map->map(), key, 0, BPF_ANY, &old) == 0);
  CHECK(old == address);
  CHECK(map->ops().lookup(&w.run, map->map(), key) == nullptr);
  auto xsk = w.create(BPF_MAP_TYPE_XSKMAP, 4, 4, 2), reuse = w.create(BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 4, 8, 2);
  CHECK(xsk->ops().erase(&w.run, xsk->map(), key) == 0);
  CHECK(reuse->ops().exchange(reuse->map(), key, 0, BPF_ANY, &old) == -ENOENT);
  key[0] = 2;
  CHECK(reuse->ops().exchange(reuse->map(), key, 0, BPF_ANY, &old) == -E2BIG);
  CHECK(map->ops().exchange(map->map(), key, address, BPF_ANY, &old) == -E2BIG);
  CHECK(World::check(BPF_MAP_TYPE_SOCKHASH, 513, 4, 1) == -E2BIG);
  CHECK(World::check(BPF_MAP_TYPE_SOCKMAP, 4, 5, 1) == -EINVAL);
  CHECK(World::check(BPF_MAP_TYPE_XSKMAP, 4, 8, 1) == -EINVAL);
}

TEST_CASE("cgroup storage has what attaching made, new before old, until the cgroup goes") {
  World w;
  for (const bool per_cpu : {false, true}) {
    auto map = w.create(per_cpu ? BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE : BPF_MAP_TYPE_CGROUP_STORAGE,
                        sizeof(bpf_cgroup_storage_key), 4, 0);
    const MapOps& ops = map->ops();
    bpf_cgroup_storage_key key{}, next{};
    key.cgroup_inode_id = 23, key.attach_type = 8;
    void* const value = cgroup_storage_of(map->map(), 23, 8);
    REQUIRE(value);
    CHECK(cgroup_storage_of(map->map(), 23, 8) == value);
    REQUIRE(cgroup_storage_of(map->map(), 23, 9));
    REQUIRE(cgroup_storage_of(map->map(), 40, 8));
    u64 in[kCpus] = {5, 6}, out[kCpus] = {};
    CHECK(ops.update_value(&w.run, map->map(), &key, in, BPF_ANY) == 0);
    CHECK(ops.copy_value(&w.run, map->map(), &key, out) == 0);
    CHECK(out[0] == 5);
    CHECK(out[1] == (per_cpu ? 6 : 0));
    CHECK(ops.get_next_key(map->map(), nullptr, &next) == 0);
    CHECK(next.cgroup_inode_id == 40);
    cgroup_storage_forget(map->map(), 40);
    CHECK(ops.get_next_key(map->map(), nullptr, &next) == 0);
    CHECK(next.attach_type == 9);
    CHECK(ops.get_next_key(map->map(), &next, &key) == 0);
    CHECK(key.attach_type == 8);
    CHECK(ops.get_next_key(map->map(), &key, &next) == -ENOENT);
    cgroup_storage_forget(map->map(), 23);
    CHECK(ops.copy_value(&w.run, map->map(), &key, out) == -ENOENT);
    const u32* const again = static_cast<const u32*>(cgroup_storage_of(map->map(), 23, 8));
    REQUIRE(again);
    CHECK(*again == 0);
  }
}

TEST_CASE("cgroup storage has no elements of its own") {
  World w;
  u64 key[2] = {}, value[kCpus] = {};
  for (u32 type : {u32{BPF_MAP_TYPE_CGROUP_STORAGE}, u32{BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE}}) {
    auto map = w.create(type, 8, 4, 0);
    CHECK(map->ops().copy_value(&w.run, map->map(), key, value) == -ENOENT);
    CHECK(map->ops().update_value(&w.run, map->map(), key, value, BPF_EXIST) == -ENOENT);
    CHECK(map->ops().update_value(&w.run, map->map(), key, value, BPF_NOEXIST) == -EINVAL);
    CHECK(map->ops().erase(&w.run, map->map(), key) == -EINVAL);
    CHECK(map->ops().get_next_key(map->map(), nullptr, key) == -ENOENT);
    CHECK(World::check(type, 4, 4, 0) == -EINVAL);
    CHECK(World::check(type, 16, 4, 1) == -EINVAL);
    CHECK(World::check(type, 8, 65408, 0) == -E2BIG);
  }
  CHECK(World::check(BPF_MAP_TYPE_CGROUP_STORAGE, 8, 65407, 0) == 0);
  CHECK(World::check(BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 8, 32769, 0) == -E2BIG);
}

TEST_CASE("the table of map types is whole") {
  for (u32 id = 1; id <= 31; ++id) {
    const MapType* type = map_type(id);
    REQUIRE(type);
    CHECK(type->id == id);
    REQUIRE(type->ops);
    CHECK(type->ops->alloc_check);
    CHECK(type->ops->footprint);
    CHECK(type->ops->init);
    CHECK(type->ops->get_next_key);
    CHECK(type->ops->copy_value);
    // What a struct_ops map is given is registered, which is more than a change of memory; an XSKMAP takes sockets that
    // nobody has.
    const bool elsewhere = id == BPF_MAP_TYPE_STRUCT_OPS || id == BPF_MAP_TYPE_XSKMAP;
    CHECK((type->ops->update_value || type->ops->exchange || elsewhere));
  }
  CHECK(map_type(0) == nullptr);
  CHECK(map_type(32) == nullptr);
}

}  // namespace
}  // namespace bpfemu::test

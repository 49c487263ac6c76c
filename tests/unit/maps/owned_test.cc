// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/maps/struct_ops.h"
#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

MapAttr storage(u32 type) {
  MapAttr attr = World::attr(type, 4, 16, 0, BPF_F_NO_PREALLOC);
  attr.btf_key_type_id = 1;
  attr.btf_value_type_id = 2;
  return attr;
}

TEST_CASE("storage of sockets, inodes and tasks wants BTF, no entries and no preallocation") {
  World w;
  for (u32 type : {u32{BPF_MAP_TYPE_SK_STORAGE}, u32{BPF_MAP_TYPE_INODE_STORAGE}, u32{BPF_MAP_TYPE_TASK_STORAGE}}) {
    auto map = w.create(storage(type));
    u32 key;
    CHECK(map->ops().get_next_key(map->map(), nullptr, &key) == -ENOTSUPP);
    auto refused = [&](auto change, s64 error) {
      MapAttr attr = storage(type);
      change(attr);
      CHECK(map_ops(type)->alloc_check(attr) == error);
    };
    refused([](MapAttr& a) { a.flags = 0; }, -EINVAL);
    refused([](MapAttr& a) { a.flags |= BPF_F_RDONLY; }, -EINVAL);
    refused([](MapAttr& a) { a.flags |= BPF_F_CLONE; }, 0);
    refused([](MapAttr& a) { a.max_entries = 1; }, -EINVAL);
    refused([](MapAttr& a) { a.key_size = 8; }, -EINVAL);
    refused([](MapAttr& a) { a.value_size = 0; }, -EINVAL);
    refused([](MapAttr& a) { a.btf_key_type_id = 0; }, -EINVAL);
    refused([](MapAttr& a) { a.btf_value_type_id = 0; }, -EINVAL);
    refused([](MapAttr& a) { a.privileged = false; }, -EPERM);
    refused([](MapAttr& a) { a.value_size = 65407; }, 0);
    refused([](MapAttr& a) { a.value_size = 65408; }, -E2BIG);
  }
}

TEST_CASE("struct_ops maps read as empty until they are registered") {
  World w;
  MapAttr attr = World::attr(BPF_MAP_TYPE_STRUCT_OPS, 4, 24, 1);
  attr.btf_vmlinux_value_type_id = 7;
  auto map = w.create(attr);
  u32 key = 0, one = 1;
  std::vector<u8> value(24, 0xff);
  CHECK(map->ops().copy_value(&w.run, map->map(), &one, value.data()) == -ENOENT);
  REQUIRE(map->ops().copy_value(&w.run, map->map(), &key, value.data()) == 0);
  CHECK(value == std::vector<u8>(24));
  auto& half = static_cast<StructOpsMap&>(map->map());
  half.state = kStructOpsInUse;
  half.references = 3;
  half.value()[8] = 5;
  REQUIRE(map->ops().copy_value(&w.run, map->map(), &key, value.data()) == 0);
  CHECK(value[0] == 3);
  CHECK(value[4] == kStructOpsInUse);
  CHECK(value[8] == 5);
  CHECK(map->ops().get_next_key(map->map(), &key, &key) == -ENOENT);
  attr.max_entries = 2;
  CHECK(map->ops().alloc_check(attr) == -EINVAL);
}

}  // namespace
}  // namespace bpfemu::test

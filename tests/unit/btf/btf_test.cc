// SPDX-License-Identifier: Apache-2.0
#include "emu/btf/btf.h"

#include <catch2/catch.hpp>

#include "emu/kernel/kernel_data.h"
#include "tests/unit/btf/builder.h"

namespace bpfemu {
namespace {

TEST_CASE("types, names and sizes of a small BTF") {
  BtfBuilder b;
  u32 integer = b.integer("int", 4);
  u32 array = b.type(0, BTF_KIND_ARRAY, 0, 0, {integer, integer, 5});
  u32 constant = b.type(0, BTF_KIND_CONST, 0, array);
  u32 alias = b.type(b.string("five"), BTF_KIND_TYPEDEF, 0, constant);
  u32 inner = b.type(0, BTF_KIND_UNION, 2, 8, {b.string("low"), integer, 0, b.string("high"), integer, 0});
  u32 outer = b.type(b.string("outer"), BTF_KIND_STRUCT, 3, 40,
                     {b.string("first"), alias, 0, 0, inner, 160, b.string("named"), inner, 256});
  u32 pointer = b.type(0, BTF_KIND_PTR, 0, outer);
  auto loaded = Btf::load(b.bytes(), nullptr);
  REQUIRE(loaded);
  Btf& btf = **loaded;

  CHECK(btf.type_count() == 8);
  CHECK(btf.find("five", BTF_KIND_TYPEDEF) == alias);
  CHECK(btf.find("five", BTF_KIND_STRUCT).error().value == ENOENT);
  CHECK(btf.find("absent", BTF_KIND_TYPEDEF).error().value == ENOENT);
  CHECK(btf.size_of(alias) == 20);
  CHECK(btf.size_of(pointer) == 8);
  CHECK(btf.size_of(0).error().value == EINVAL);
  u32 resolved = 0;
  CHECK(Btf::kind(*btf.skip_modifiers(alias, &resolved)) == BTF_KIND_ARRAY);
  CHECK(resolved == array);
  CHECK(btf.offset_of("outer", "first") == 0);
  CHECK(btf.offset_of("outer", "high") == 20);  // of the anonymous union
  CHECK(btf.offset_of("outer", "named.low") == 32);
  CHECK(btf.offset_of("outer", "named.none").error().value == ENOENT);
  CHECK(btf.type(8) == nullptr);
  CHECK(btf.string(1 << 20) == nullptr);
  CHECK(std::string(btf.type_name(outer)) == "outer");
}

TEST_CASE("the kernel's own BTF is there and is right about task_struct") {
  auto btf = KernelData(default_profile()).btf();
  REQUIRE(btf);
  CHECK((*btf)->type_count() > 100000);
  auto task = (*btf)->find("task_struct", BTF_KIND_STRUCT);
  REQUIRE(task);
  CHECK((*btf)->size_of(*task).value() > 4096);
  CHECK((*btf)->offset_of("task_struct", "tgid").value() == (*btf)->offset_of("task_struct", "pid").value() + 4);
  CHECK((*btf)->find("do_sys_openat2", BTF_KIND_FUNC));
  CHECK((*btf)->find("btf_trace_sys_enter", BTF_KIND_TYPEDEF));
}

TEST_CASE("a damaged kernel BTF is refused or empty, never trusted") {
  CHECK_FALSE(Btf::load_kernel({}, "vmlinux"));
  CHECK_FALSE(Btf::load_kernel(std::vector<u8>(64, 0xff), "vmlinux"));
  BtfBuilder b;
  b.integer("int", 4);
  std::vector<u8> bytes = b.bytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(Btf::load_kernel({bytes.begin(), bytes.begin() + static_cast<ssize_t>(size)}, "vmlinux"));
  }
  auto empty = Btf::load_kernel_lazily([]() -> Result<std::vector<u8>> { return fail(EIO); }, "vmlinux");
  CHECK(empty->type_count() == 1);
  CHECK(empty->raw().empty());
  CHECK(empty->find("int", BTF_KIND_INT).error().value == ENOENT);
}

}  // namespace
}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/object_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "emu/kernel/kernel_data.h"

namespace bpfemu {
namespace {

struct Fixture {
  std::unique_ptr<Arena> arena = Arena::create(2).value();
  std::shared_ptr<Btf> btf = KernelData(default_profile()).btf().value();
  ObjectSpace space{*arena, btf};
};

TEST_CASE_METHOD(Fixture, "an object keeps its address for as long as its identity is asked for") {
  const KernelStruct& inode = space.structure("inode");
  bool is_new = false;
  const KernelObject first = space.object(inode, "8:1 77", &is_new);
  REQUIRE(first);
  CHECK(is_new);
  first.set("i_ino", u64{77});
  CHECK(arena->contains(first.address(), inode.size()));
  CHECK(space.object(inode, "8:1 78").address() != first.address());
  CHECK(space.object(inode, "8:1 77", &is_new).address() == first.address());
  CHECK_FALSE(is_new);
  CHECK(load<u64>(reinterpret_cast<void*>(first.address("i_ino"))) == 77);
  CHECK(first.address("i_ino") == first.address() + btf->offset_of("inode", "i_ino").value());

  space.forget(inode, "8:1 77");
  const KernelObject second = space.object(inode, "8:1 77", &is_new);
  CHECK(is_new);
  CHECK(load<u64>(reinterpret_cast<void*>(second.address("i_ino"))) == 0);
}

TEST_CASE_METHOD(Fixture, "members that programs look at and nobody fills in are named") {
  const KernelStruct &task = space.structure("task_struct"), &sock = space.structure("tcp_sock");
  const KernelObject a = space.object(task, "1"), b = space.object(sock, "1");
  const auto place = [&](const char* name, const char* path) { return btf->offset_of(name, path).value(); };
  a.set("se.vruntime", u64{7});
  b.set("inet_conn.icsk_inet.sk.__sk_common.skc_family", u16{2});
  space.was_read(a.address() + place("task_struct", "se.vruntime"), 8);
  space.was_read(a.address() + place("task_struct", "nr_dirtied"), 4);
  space.was_read(a.address() + place("task_struct", "se.load.weight"), 8);
  space.was_read(a.address(), task.size());  // as a whole
  space.was_read(b.address() + place("sock", "__sk_common.skc_family"), 2);
  KernelObject(b.address(), space.structure("inet_sock")).set("inet_sport", u16{9});
  space.was_read(b.address() + place("inet_sock", "inet_sport"), 2);
  CHECK(space.told_fields().untold() == std::set<std::string>{"task_struct.nr_dirtied", "task_struct.se.load.weight"});
  a.set("nr_dirtied", s32{0});  // from now on somebody does

  // By types: a struct within another, one that nothing is known of, what lies behind the end.
  const auto id = [&](const char* name) { return btf->find(name, BTF_KIND_STRUCT).value(); };
  space.told_fields().read({id("sock_common"), place("sock_common", "skc_family"), 2});
  space.told_fields().read({id("sock"), place("sock", "sk_mark"), 4});
  space.told_fields().read({id("kernfs_node"), place("kernfs_node", "id"), 8});
  space.told_fields().read({id("task_struct"), task.size(), 8});
  CHECK(space.told_fields().untold() == std::set<std::string>{"task_struct.se.load.weight", "sock.sk_mark"});
}

TEST_CASE_METHOD(Fixture, "of too many objects the one asked for longest ago goes") {
  const KernelStruct& qstr = space.structure("qstr");
  for (size_t i = 0; i < ObjectSpace::kMostObjects; ++i) REQUIRE(space.object(qstr, fmt::format("{}", i)));
  const u64 kept = space.object(qstr, "0").address();
  bool is_new = false;
  (void)space.object(qstr, "one more");
  CHECK(space.count(qstr) == ObjectSpace::kMostObjects);
  CHECK(space.object(qstr, "0", &is_new).address() == kept);
  CHECK_FALSE(is_new);
  (void)space.object(qstr, "1", &is_new);
  CHECK(is_new);
}

TEST_CASE_METHOD(Fixture, "objects that somebody keeps something by are not among those that go") {
  const KernelStruct& qstr = space.structure("qstr");
  const auto made = [&](size_t i) { return space.object(qstr, fmt::format("{}", i)).address(); };
  const u64 first = made(0);
  std::vector<u64> gone;
  space.forgotten = [&](u64 address) { gone.push_back(address); };
  space.kept = [&](u64 address) { return address == first; };
  for (size_t i = 1; i < 2 * ObjectSpace::kMostObjects; ++i) made(i);
  CHECK(gone.size() == ObjectSpace::kMostObjects);
  CHECK(std::ranges::count(gone, first) == 0);
  CHECK(space.count(qstr) == ObjectSpace::kMostObjects);
  space.kept = [](u64) { return true; };
  for (size_t i = 2 * ObjectSpace::kMostObjects; i < 3 * ObjectSpace::kMostObjects; ++i) made(i);
  CHECK(gone.size() == ObjectSpace::kMostObjects);
  CHECK(space.count(qstr) == 2 * ObjectSpace::kMostObjects);
}

TEST_CASE_METHOD(Fixture, "what belongs to one process goes at once") {
  const KernelStruct& file = space.structure("file");
  for (const char* identity : {"12 3 a", "12 -1 a", "12", "123 3 a", "1 3 a", "2"}) (void)space.object(file, identity);
  CHECK(space.bytes("fd 12", 300) != 0);
  space.forget_all(file, "12 ");
  CHECK(space.count(file) == 4);
  bool is_new = false;
  (void)space.object(file, "123 3 a", &is_new);
  CHECK_FALSE(is_new);
  (void)space.object(file, "12 3 a", &is_new);
  CHECK(is_new);
  *reinterpret_cast<u8*>(space.bytes("fd 12", 300)) = 7;
  space.forget_bytes("fd 12");
  CHECK(*reinterpret_cast<u8*>(space.bytes("fd 12", 300)) == 0);
}

TEST_CASE_METHOD(Fixture, "what the kernel does not have is null and takes no values") {
  const KernelObject none = space.object(space.structure("no_such_struct"), "1");
  CHECK_FALSE(none);
  none.set("member", 1);
  const KernelObject inode = space.object(space.structure("inode"), "1");
  inode.set("no_such_member", 1);
  CHECK(inode.address("no_such_member") == 0);
}

}  // namespace
}  // namespace bpfemu

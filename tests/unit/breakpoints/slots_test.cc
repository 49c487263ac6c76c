// SPDX-License-Identifier: Apache-2.0
// Slots in the test's own address space.
#include "loader/slots.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <set>

#include "tests/fakes/ports.h"

using namespace bpfemu;

namespace {

struct Fixture {
  MemoryFiles files;
  SpaceMemory memory{files, ::getpid()};
  fakes::FakeTask task;
  Slots slots;
  u64 text = reinterpret_cast<u64>(&::getpid);

  SlotUse use(u64 address, u8 immediate = 1) const {
    SlotUse use{.address = address, .bytes = {0xb0, immediate}};  // mov al, imm
    use.plan = *plan_step(use.bytes);
    return use;
  }
  Result<u64> take(const SlotUse& use, bool inside = false) {
    return slots.take(task, memory, use, [inside](u64) { return inside; });
  }
};

}  // namespace

TEST_CASE("a slot goes back to the same breakpoint, whoever is in it") {
  Fixture f;
  const u64 slot = *f.take(f.use(f.text));
  CHECK(*reinterpret_cast<const u8*>(slot) == 0xb0);
  CHECK(*f.take(f.use(f.text)) != slot);
  for (int i = 0; i < 1000; ++i) {
    f.slots.give_back(slot);
    REQUIRE(*f.take(f.use(f.text), true) == slot);
  }
  f.slots.give_back(slot);
  CHECK(*f.take(f.use(f.text, 2), true) != slot);  // the code has changed
}

TEST_CASE("a slot that was given back is used again when nobody is in it") {
  Fixture f;
  std::set<u64> seen;
  for (u64 i = 0; i < 1000; ++i) {
    const u64 slot = *f.take(f.use(f.text + i));
    seen.insert(slot);
    f.slots.give_back(slot);
  }
  CHECK(seen.size() == 127);  // a page, less the return trampoline
  seen.clear();
  for (u64 i = 0; i < 200; ++i) {
    const u64 slot = *f.take(f.use(f.text + 1000 + i), true);
    seen.insert(slot);
    f.slots.give_back(slot);
  }
  CHECK(seen.size() == 200);
}

TEST_CASE("a thread in a slot is put where its program believes it to be") {
  Fixture f;
  const SlotUse step = f.use(f.text);
  const u64 slot = *f.take(step);
  auto place = f.slots.place_of(slot);
  REQUIRE(place);
  CHECK_FALSE(place->executed);
  CHECK(place->resume == f.text);
  place = f.slots.place_of(slot + step.plan.length);
  REQUIRE(place);
  CHECK(place->executed);
  CHECK(place->resume == f.text + step.plan.length);

  SlotUse touch{.address = f.text, .touch = true, .bytes = {0xe8}};
  touch.plan = *plan_step(touch.bytes);
  const u64 second = *f.take(touch);
  CHECK(f.slots.place_of(second)->resume == f.text);
  CHECK(f.slots.place_of(second)->popped == 0);
  CHECK(f.slots.place_of(second + 1)->popped == 8);
  CHECK(f.slots.place_of(second + 6)->popped == 0);
  CHECK_FALSE(f.slots.place_of(second + 6)->executed);
  CHECK_FALSE(f.slots.place_of(f.text));
  const u64 trampoline = *f.slots.return_trampoline(f.task, f.memory, f.text);
  CHECK(f.slots.is_return_trampoline(trampoline));
  CHECK_FALSE(f.slots.place_of(trampoline));
}

TEST_CASE("mappings are read as they are told") {
  const auto lines = parse_maps(
      "7f0000000000-7f0000001000 r-xp 00002000 fe:01 77                  /usr/lib/a b\n"
      "7f0000001000-7f0000003000 rw-s 00000000 00:05 12 /memfd:x (deleted)\n"
      "nonsense\n"
      "7ffd00000000-7ffd00001000 rw-p 00000000 00:00 0                   [stack]\n");
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].file == FileId{0xfe01, 77});
  CHECK((lines[0].execute && !lines[0].write && !lines[0].shared && lines[0].offset == 0x2000));
  CHECK((lines[1].write && lines[1].shared));
  CHECK(lines[2].file == FileId{0, 0});
}

TEST_CASE("memory is read and written of any thread that lives, with few descriptors") {
  MemoryFiles files;
  u8 bytes[4] = {1, 2, 3, 4}, out[4] = {};
  std::vector<std::unique_ptr<SpaceMemory>> spaces;
  for (int i = 0; i < 600; ++i) {
    spaces.push_back(std::make_unique<SpaceMemory>(files, 0x3fffffff));
    CHECK(spaces.back()->read(reinterpret_cast<u64>(bytes), out, 4).error() == Errno{ESRCH});
    spaces.back()->join(::getpid());
    REQUIRE(spaces.back()->read(reinterpret_cast<u64>(bytes), out, 4) == 4u);
  }
  CHECK(out[3] == 4);
  CHECK(::dup(0) < 300);
  CHECK(spaces.front()->write(reinterpret_cast<u64>(bytes), out + 3, 1));
  CHECK(bytes[0] == 4);
  spaces.front()->leave(::getpid());
  CHECK(spaces.front()->maps().error() == Errno{ESRCH});
  CHECK_FALSE(spaces.back()->maps()->empty());
  CHECK(spaces.back()->read(8, out, 4).error() == Errno{EIO});
}

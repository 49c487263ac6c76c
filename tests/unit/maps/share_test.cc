// SPDX-License-Identifier: Apache-2.0
// Pages of the arena that lie in the file that is shared for writing.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "emu/base/bytes.h"
#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

u8& byte(u64 address) { return *reinterpret_cast<u8*>(address); }

bool all_zero(Extent extent) {
  return std::all_of(&byte(extent.address), &byte(extent.address) + extent.size, [](u8 b) { return b == 0; });
}

// As a traced process has them.
struct Mapping {
  u8* bytes;
  u64 size;
  Mapping(const Arena& arena, int fd, Extent extent) : size(extent.size) {
    const auto offset = static_cast<off_t>(arena.file_offset(extent.address));
    void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
    REQUIRE(at != MAP_FAILED);
    bytes = static_cast<u8*>(at);
  }
  ~Mapping() { ::munmap(bytes, size); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
};

TEST_CASE("what is shared keeps its content and its address, and is written to from both sides") {
  auto arena = *Arena::create(1);
  const Extent extent = *arena->allocate(64 * kPageSize), part{extent.address + kPageSize, 60 * kPageSize};
  for (u64 page : {0, 1, 40, 41, 60, 63}) byte(extent.address + page * kPageSize) = static_cast<u8>(page + 1);
  CHECK(arena->shared().empty());
  const u64 before = arena->shares();
  const Mapping early(*arena, arena->fd(), part);
  REQUIRE(arena->share(part));
  CHECK(arena->shares() > before);
  REQUIRE(arena->shared().size() == 1);
  CHECK(arena->shared()[0].address == part.address);
  CHECK(arena->shared()[0].size == part.size);
  for (u64 page : {0, 1, 40, 41, 60, 63}) CHECK(byte(extent.address + page * kPageSize) == page + 1);

  struct stat file;
  REQUIRE(::fstat(arena->shared_fd(), &file) == 0);
  CHECK(file.st_blocks == 4 * 8);  // of pages that nobody wrote to there are none
  const Mapping one(*arena, arena->shared_fd(), part), other(*arena, arena->shared_fd(), part);
  one.bytes[5] = 7;
  CHECK(other.bytes[5] == 7);
  CHECK(byte(part.address + 5) == 7);
  byte(part.address + 30 * kPageSize) = 8;
  CHECK(one.bytes[30 * kPageSize] == 8);
  // Who has the arena's own file sees nothing of it.
  CHECK(early.bytes[0] == 2);
  CHECK(early.bytes[5] == 0);
  CHECK(early.bytes[30 * kPageSize] == 0);

  const auto reading = arena->for_reading(true);
  REQUIRE(reading);
  CHECK(::mmap(nullptr, kPageSize, PROT_WRITE, MAP_SHARED, reading->get(), 0) == MAP_FAILED);
  const Mapping own(*arena, arena->fd(), {extent.address, kPageSize});
  byte(extent.address) = 9;
  CHECK(own.bytes[0] == 9);
}

TEST_CASE("what is shared already stays as it is, and the rest is added") {
  auto arena = *Arena::create(1);
  const Extent extent = *arena->allocate(8 * kPageSize);
  const Extent middle{extent.address + 2 * kPageSize, 2 * kPageSize};
  REQUIRE(arena->share(middle));
  byte(middle.address) = 3;
  const u64 shares = arena->shares();
  REQUIRE(arena->share(middle));
  CHECK(arena->shares() == shares);
  REQUIRE(arena->share(extent));
  CHECK(arena->shares() > shares);
  CHECK(byte(middle.address) == 3);
  u64 next = extent.address;
  for (const Extent& each : arena->shared()) {
    CHECK(each.address == next);
    next += each.size;
  }
  CHECK(next == extent.address + extent.size);
}

TEST_CASE("released pages are the arena's own again") {
  auto arena = *Arena::create(1);
  for (u64 pages : {2, 64}) {
    const Extent extent = *arena->allocate(pages * kPageSize), part{extent.address + kPageSize, kPageSize};
    std::memset(&byte(extent.address), 0xff, extent.size);
    REQUIRE(arena->share(part));
    const Mapping stale(*arena, arena->shared_fd(), part);
    std::memset(stale.bytes, 0xee, stale.size);
    const u64 shares = arena->shares();
    arena->release(extent);
    CHECK(arena->shares() > shares);
    CHECK(arena->shared().empty());
    CHECK(stale.bytes[0] == 0);
    std::memset(stale.bytes, 0xdd, stale.size);

    const Extent again = *arena->allocate(pages * kPageSize);
    REQUIRE(again.address == extent.address);
    CHECK(all_zero(again));
    const Mapping own(*arena, arena->fd(), again);
    byte(part.address) = 5;
    CHECK(own.bytes[kPageSize] == 5);
    CHECK(stale.bytes[0] == 0xdd);
    byte(part.address) = 0;
    // What is left in the shared file from another time is no content.
    REQUIRE(arena->share({again.address, again.size}));
    CHECK(all_zero(again));
    arena->release(again);
  }
}

TEST_CASE("what is shared stays so while a program stands aside") {
  auto arena = *Arena::create(1);
  const Extent extent = *arena->allocate(kPageSize);
  REQUIRE(arena->share(extent));
  arena->enter_grace();
  arena->release(extent);
  CHECK(arena->shared().size() == 1);
  arena->leave_grace();
  CHECK(arena->shared().empty());
}

TEST_CASE("the pieces of both files follow one another") {
  auto arena = *Arena::create(1);
  const Extent extent = *arena->allocate(8 * kPageSize);
  REQUIRE(arena->share({extent.address + 2 * kPageSize, 3 * kPageSize}));
  const auto ranges = arena->file_ranges(extent.address + kPageSize, 6 * kPageSize);
  REQUIRE(ranges.size() == 3);
  const u64 sizes[] = {kPageSize, 3 * kPageSize, 2 * kPageSize};
  u64 offset = arena->file_offset(extent.address + kPageSize);
  for (u32 i = 0; i < 3; ++i) {
    CHECK(ranges[i].offset == offset);
    CHECK(ranges[i].size == sizes[i]);
    CHECK(ranges[i].shared == (i == 1));
    offset += sizes[i];
  }
  const auto inner = arena->file_ranges(extent.address + 3 * kPageSize, kPageSize);
  REQUIRE(inner.size() == 1);
  CHECK(inner[0].shared);
}

TEST_CASE("rings are not shared, but what lies beside them is") {
  World w;
  auto before = w.create(BPF_MAP_TYPE_ARRAY, 4, 8, 4), ring = w.create(BPF_MAP_TYPE_RINGBUF, 0, 0, 8192),
       after = w.create(BPF_MAP_TYPE_HASH, 4, 8, 4);
  const Extent rings = ring->extent();
  CHECK(w.arena->share(rings).error().value == EINVAL);
  CHECK(w.arena->share({rings.address + rings.size - kPageSize, kPageSize}).error().value == EINVAL);
  CHECK(w.arena->share({rings.address + rings.size - 4 * kPageSize, kPageSize}).error().value == EINVAL);
  for (const auto& map : {before, after}) {
    u32 key = 1;
    u64 value = 77;
    REQUIRE(map->ops().update(&w.run, map->map(), &key, &value, BPF_ANY) == 0);
    const Extent values{map->extent().address + map->map().values_at, map->map().values_size};
    REQUIRE(w.arena->share(values));
    auto* found = static_cast<u64*>(map->ops().lookup(&w.run, map->map(), &key));
    REQUIRE(found);
    CHECK(*found == 77);
    const Mapping inside(*w.arena, w.arena->shared_fd(), values);
    *found = 78;
    CHECK(load<u64>(inside.bytes + (reinterpret_cast<u64>(found) - values.address)) == 78);
  }
  CHECK(w.arena->shared().size() == 2);
  const auto ranges = w.arena->file_ranges(before->extent().address, after->extent().address + after->extent().size -
                                                                         before->extent().address);
  CHECK(ranges.size() == 6);
  ring.reset();
  CHECK(w.arena->shared().size() == 2);
  const Extent ordinary = *w.arena->allocate(rings.size);
  REQUIRE(ordinary.address == rings.address);
  CHECK(w.arena->share(ordinary));
  before.reset();
  after.reset();
  w.arena->release(ordinary);
  CHECK(w.arena->shared().empty());
}

TEST_CASE("pages are shared, and of an arena that has a file") {
  auto arena = *Arena::create(1);
  const Extent extent = *arena->allocate(4 * kPageSize);
  CHECK(arena->share({extent.address + 8, kPageSize}).error().value == EINVAL);
  CHECK(arena->share({extent.address, kPageSize + 8}).error().value == EINVAL);
  CHECK(arena->share({arena->end(), kPageSize}).error().value == EINVAL);
  CHECK(arena->share({extent.address, ~u64{0} << 12}).error().value == EINVAL);
  CHECK(arena->shared().empty());
  arena.reset();

  rlimit old;
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  const rlimit small{kPageSize, old.rlim_max};
  const auto action = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  auto without = Arena::create(1);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &old) == 0);
  (void)std::signal(SIGXFSZ, action);
  REQUIRE(without);
  REQUIRE((*without)->fd() == -1);
  const Extent anonymous = *(*without)->allocate(kPageSize);
  CHECK((*without)->share(anonymous).error().value == EOPNOTSUPP);
  (*without)->release(anonymous);
}

}  // namespace
}  // namespace bpfemu::test

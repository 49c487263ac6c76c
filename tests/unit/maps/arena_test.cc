// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "emu/runtime/held_lock.h"
#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

TEST_CASE("there is one arena, and it hands out zeroed pages") {
  auto arena = Arena::create(2);
  REQUIRE(arena);
  auto second = Arena::create(2);
  REQUIRE(!second);
  CHECK(second.error().value == EEXIST);
  CHECK(Arena::create(0).error().value == EINVAL);

  auto a = (*arena)->allocate(1), b = (*arena)->allocate(3 * kPageSize);
  REQUIRE((a && b));
  CHECK(a->size == kPageSize);
  CHECK(b->address == a->address + kPageSize);
  CHECK((*arena)->contains(b->address, b->size));
  CHECK_FALSE((*arena)->contains((*arena)->end() - 1, 2));
  *reinterpret_cast<u64*>(b->address) = 5;
  (*arena)->release(*b);
  auto c = (*arena)->allocate(kPageSize);
  REQUIRE(c);
  CHECK(c->address == b->address);
  CHECK(*reinterpret_cast<u64*>(c->address) == 0);
  CHECK((*arena)->allocate(0).error().value == ENOMEM);
  CHECK((*arena)->allocate(kArenaSpan).error().value == ENOMEM);
  CHECK((*arena)->allocate(~u64{0}).error().value == ENOMEM);
}

TEST_CASE("code runs, and its place is used again for code alone") {
  auto arena = *Arena::create(1);
  u8 answer[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov eax, 42; ret
  for (u8 value : {42, 43}) {
    answer[1] = value;
    auto extent = *arena->allocate_code(sizeof answer);
    REQUIRE(arena->write_code(extent, answer));
    CHECK(reinterpret_cast<int (*)()>(extent.address)() == value);
    arena->release_code(extent);
    CHECK(arena->allocate_code(kPageSize)->address == extent.address);
    arena->release_code(extent);
    CHECK(arena->allocate(kPageSize)->address != extent.address);
  }
  const Extent large = *arena->allocate_code(8 << 20);
  CHECK(large.size == 8 << 20);
  CHECK(arena->write_code({large.address, kPageSize}, std::vector<u8>(kPageSize + 1)).error().value == ENOMEM);
  CHECK(arena->allocate_code(kArenaSpan).error().value == ENOMEM);
}

TEST_CASE("small and large extents read as zero when they are used again") {
  auto arena = *Arena::create(1);
  for (u64 size : {kPageSize, 64 * kPageSize}) {
    const Extent extent = *arena->allocate(size);
    std::memset(reinterpret_cast<void*>(extent.address), 0xff, size);
    arena->release(extent);
    const Extent again = *arena->allocate(size);
    REQUIRE(again.address == extent.address);
    const auto* bytes = reinterpret_cast<const u8*>(again.address);
    CHECK(std::all_of(bytes, bytes + size, [](u8 byte) { return byte == 0; }));
    arena->release(again);
  }
}

TEST_CASE("what is released while a program stands aside stays as it is until the last has gone on") {
  auto arena = *Arena::create(1);
  Extent extent = *arena->allocate(4 * kPageSize);
  auto* bytes = reinterpret_cast<u8*>(extent.address);
  bytes[0] = 7;
  arena->enter_grace();
  arena->enter_grace();
  arena->release(extent);
  arena->leave_grace();
  CHECK(arena->allocate(4 * kPageSize)->address != extent.address);
  CHECK(bytes[0] == 7);
  arena->leave_grace();
  CHECK(bytes[0] == 0);
  CHECK(arena->allocate(4 * kPageSize)->address == extent.address);
}

TEST_CASE("vCPU slots are exclusive, and recovered from the dead") {
  auto arena = *Arena::create(2);
  Vcpu* a = acquire_vcpu(arena->vcpus(), 2, 1, 100);
  Vcpu* b = acquire_vcpu(arena->vcpus(), 2, 1, 200);
  REQUIRE((a && b));
  CHECK(a->id == 1);
  CHECK(b->id == 0);
  CHECK(acquire_vcpu(arena->vcpus(), 2, 0, 300, 0) == nullptr);
  // For what comes while those two stand aside; the program finds itself on the CPU that it wanted.
  Vcpu* spare = acquire_vcpu(arena->vcpus(), 2, 1, 300);
  REQUIRE(spare);
  CHECK(spare->id == 1);
  CHECK(spare->slot == 2);
  release_vcpu(*spare);
  ArenaLock lock{};
  Run run{};
  run.cpu = a;
  hold_lock(&run, lock);
  CHECK(lock.holder == 100);
  CHECK_FALSE(recover_vcpu(*a, 200));
  CHECK(recover_vcpu(*a, 100));
  CHECK(lock.holder == 0);
  CHECK(acquire_vcpu(arena->vcpus(), 2, 0, 300) == a);
}

TEST_CASE("threads share a hash map without losing a count") {
  World w;
  auto map = w.create(BPF_MAP_TYPE_HASH, 4, 8, 64);
  auto churn = w.create(BPF_MAP_TYPE_HASH, 4, 8, 8, BPF_F_NO_PREALLOC);
  release_vcpu(*w.run.cpu);
  constexpr u32 kRounds = 20000;
  std::vector<std::thread> threads;
  for (u32 t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      Run run = w.run;
      run.cpu = acquire_vcpu(w.arena->vcpus(), kCpus, t, 1000 + t);
      u64 zero = 0;
      for (u32 i = 0; i < kRounds; ++i) {
        u32 key = i % 50;
        void* value = map->ops().lookup(&run, map->map(), &key);
        if (!value) map->ops().update(&run, map->map(), &key, &zero, BPF_NOEXIST);
        value = map->ops().lookup(&run, map->map(), &key);
        if (value) __atomic_add_fetch(static_cast<u64*>(value), 1, __ATOMIC_RELAXED);
        u32 other = i % 12 + t;
        u64 stamp = u64{other} << 32 | other;
        (void)churn->ops().update(&run, churn->map(), &other, &stamp, BPF_ANY);
        (void)churn->ops().erase(&run, churn->map(), &other);
      }
      release_vcpu(*run.cpu);
    });
  }
  for (auto& thread : threads) thread.join();
  u64 total = 0;
  for (u32 key = 0; key < 50; ++key) total += *static_cast<u64*>(map->ops().lookup(nullptr, map->map(), &key));
  CHECK(total == 2 * kRounds);
  // All elements are back: the map can be filled to its size.
  for (u32 key = 0; key < 8; ++key) {
    u64 value = key;
    CHECK(churn->ops().update(nullptr, churn->map(), &key, &value, BPF_ANY) == 0);
  }
}

TEST_CASE("who has a CPU's seat has the CPU") {
  const auto arena = std::move(*Arena::create(2));
  CpuSeat* const seats = arena->seats();
  REQUIRE(seats);
  CHECK(arena->seats() == seats);
  REQUIRE(take_seat(seats[0], 7));
  CHECK_FALSE(take_seat(seats[0], 8));
  Vcpu* const other = acquire_vcpu(arena->vcpus(), 2, 0, 100, 0);
  REQUIRE(other);
  CHECK(other->id == 1);
  CHECK(seats[1].holder == 100);
  CHECK(acquire_vcpu(arena->vcpus(), 2, 0, 200, 0) == nullptr);
  // The supervisor works for the thread itself, which keeps it.
  Vcpu* const own = acquire_vcpu(arena->vcpus(), 2, 0, 7, 0);
  REQUIRE(own);
  CHECK(own->id == 0);
  release_vcpu(*own);
  CHECK(seats[0].holder == 7);
  release_vcpu(*other);
  CHECK(seats[1].holder == 0);
  arena->free_seats(7);
  CHECK(seats[0].holder == 0);
}

TEST_CASE("what is released stays until those who had seats have left them") {
  const auto arena = std::move(*Arena::create(2));
  CpuSeat* const seats = arena->seats();
  REQUIRE(seats);
  const auto released_and_there = [&](u64 value) {
    const Extent extent = *arena->allocate(kPageSize);
    u64* const at = reinterpret_cast<u64*>(extent.address);
    *at = value;
    arena->release(extent);
    return at;
  };
  CHECK(*released_and_there(5) == 0);
  REQUIRE(take_seat(seats[1], 7));
  const u64* const first = released_and_there(6);
  CHECK(*first == 6);
  leave_seat(seats[1]);
  REQUIRE(take_seat(seats[1], 8));  // who comes later does not find it
  const u64* const second = released_and_there(7);
  CHECK(*first == 0);
  CHECK(*second == 7);
  arena->free_seats(8);
  CHECK(*released_and_there(8) == 0);
  CHECK(*second == 0);
}

}  // namespace
}  // namespace bpfemu::test

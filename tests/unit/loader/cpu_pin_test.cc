// SPDX-License-Identifier: Apache-2.0
#include "loader/cpu_pin.h"

#include <catch2/catch.hpp>

#include "tests/unit/loader/idle.h"

using namespace bpfemu;

TEST_CASE("a thread that was pinned gets its own mask back") {
  const cpu_set_t whole = mask_of(0);
  if (CPU_COUNT(&whole) < 2) return;
  const int cpu = first_of(whole);
  const Idle idle, other;
  CpuPin pin;
  REQUIRE(pin.pin(idle.pid, cpu));
  CHECK(pin.tid() == idle.pid);
  CHECK(same(mask_of(idle.pid), only(cpu)));
  CHECK(same(mask_of(0), whole));

  SECTION("when it is released") {
    pin.release();
    CHECK(pin.tid() == 0);
    CHECK(same(mask_of(idle.pid), whole));
  }
  SECTION("when another is pinned") {
    REQUIRE(pin.pin(other.pid, cpu));
    CHECK(same(mask_of(idle.pid), whole));
    CHECK(same(mask_of(other.pid), only(cpu)));
    pin.release();
    CHECK(same(mask_of(other.pid), whole));
  }
  SECTION("but not where somebody set another") {
    const cpu_set_t chosen = only(first_of(whole) + 1);
    if (!CPU_ISSET(first_of(whole) + 1, &whole)) return;
    REQUIRE(::sched_setaffinity(idle.pid, sizeof chosen, &chosen) == 0);
    pin.release();
    CHECK(same(mask_of(idle.pid), chosen));
  }
  SECTION("or where the id is another's") {
    pin.forget();
    pin.release();
    CHECK(same(mask_of(idle.pid), only(cpu)));
  }
}

TEST_CASE("a child has the mask of its pinned parent, and gets the own one by the parent's") {
  const cpu_set_t whole = mask_of(0);
  if (CPU_COUNT(&whole) < 2) return;
  CpuPin pin;
  const auto own = pin.pin(::getpid(), first_of(whole));
  REQUIRE(own);
  const Idle child;
  CHECK(same(mask_of(child.pid), only(own->pinned)));
  pin.release();
  CHECK(same(mask_of(0), whole));
  CpuPin::restore(child.pid, *own);
  CHECK(same(mask_of(child.pid), whole));
}

TEST_CASE("nobody is pinned who has one CPU, or not that one, or is gone") {
  const cpu_set_t whole = mask_of(0);
  const Idle idle;
  CpuPin pin;
  const cpu_set_t one = only(first_of(whole));
  REQUIRE(::sched_setaffinity(idle.pid, sizeof one, &one) == 0);
  CHECK(!pin.pin(idle.pid, first_of(whole)));
  CHECK(!pin.pin(idle.pid, first_of(whole) + 1));
  CHECK(same(mask_of(idle.pid), one));
  const pid_t gone = [] { return Idle().pid; }();
  CHECK(!pin.pin(gone, first_of(whole)));
  CHECK(pin.tid() == 0);
}

// SPDX-License-Identifier: Apache-2.0
#include "loader/cpu_follower.h"

#include <sys/syscall.h>

#include <catch2/catch.hpp>

#include "loader/task_table.h"
#include "tests/unit/loader/idle.h"
#include "tests/unit/loader/scripted_os.h"

using namespace bpfemu;

namespace {

constexpr int kSoon = 300;  // stops in a row that are enough in any case

// Two traced processes that do nothing but stop.
struct World {
  const cpu_set_t whole = mask_of(0);
  ScriptedOs os;
  TrapHandler traps;
  TaskEnv env{os, traps, {}, -1, {}, -1, {}};
  TaskTable tasks{env};
  Idle idle, second;
  TracedTask& task = tasks.add_first(idle.pid);
  TracedTask& other = tasks.add_process(task, second.pid, false);
  CpuFollower follower;
  int looking = 0;
  World() {
    follower.start_looking = [this] { ++looking; };
  }
  ~World() { ::sched_setaffinity(0, sizeof whole, &whole); }  // where the follower went
  void stop(TracedTask& who, int times = kSoon) {
    for (int i = 0; i < times; ++i) follower.stopped(who);
  }
  bool pinned(const Idle& who) const {
    const cpu_set_t mask = mask_of(who.pid), ours = mask_of(0);
    return CPU_COUNT(&mask) == 1 && same(mask, ours);
  }
  bool free(const Idle& who) const { return same(mask_of(who.pid), whole); }
};

bool one_cpu() {
  const cpu_set_t whole = mask_of(0);
  return CPU_COUNT(&whole) < 2;
}

}  // namespace

TEST_CASE("who alone makes stops is held on the tracer's CPU") {
  if (one_cpu()) return;
  World w;
  w.stop(w.task);
  CHECK(w.pinned(w.idle));
  CHECK(w.task.own_cpus);
  CHECK(w.free(w.second));
  CHECK(w.looking == 1);

  SECTION("until another stops") {
    w.stop(w.other, 1);
    CHECK(w.free(w.idle));
    w.stop(w.other);
    CHECK(w.pinned(w.second));
    CHECK(w.free(w.idle));
  }
  SECTION("until it hardly stops any more") {
    CHECK(w.follower.look());
    CHECK_FALSE(w.follower.look());
    CHECK(w.free(w.idle));
    w.stop(w.task);
    CHECK(w.pinned(w.idle));
    CHECK(w.looking == 2);
  }
  SECTION("until the scheduler's turn comes, for ever as long as it stops") {
    int looks = 0;
    while (w.pinned(w.idle) && ++looks < 100) CHECK((w.stop(w.task), w.follower.look()));
    CHECK(looks < 100);
    w.stop(w.task);
    CHECK(w.pinned(w.idle));
  }
  SECTION("and not while it asks for its mask") {
    w.follower.asks(w.task, SYS_sched_getaffinity, {0, sizeof(cpu_set_t), 0, 0, 0, 0}, w.tasks);
    CHECK(w.free(w.idle));
    w.stop(w.task, 1);
    w.stop(w.task);
    CHECK(w.pinned(w.idle));
  }
  SECTION("until it ends or everything does") {
    w.follower.let_go();
    CHECK(w.free(w.idle));
  }
  w.follower.let_go();
}

TEST_CASE("those who stop by turns are not held") {
  if (one_cpu()) return;
  World w;
  for (int i = 0; i < kSoon; ++i) w.stop(w.task, 1), w.stop(w.other, 1);
  CHECK(w.free(w.idle));
  CHECK(w.free(w.second));
}

TEST_CASE("who may see its mask at any time is not held") {
  if (one_cpu()) return;
  World w;
  w.task.shows_cpus = true;
  w.stop(w.task);
  CHECK(w.free(w.idle));
}

TEST_CASE("what a pinned thread forks gets the mask that is its own") {
  if (one_cpu()) return;
  World w;
  w.stop(w.task);
  const cpu_set_t one = mask_of(w.idle.pid);
  REQUIRE(::sched_setaffinity(w.second.pid, sizeof one, &one) == 0);
  w.other.own_cpus = w.task.own_cpus;
  CpuFollower::started(w.other);
  CHECK(w.free(w.second));
  CHECK_FALSE(w.other.own_cpus);
  CHECK(w.pinned(w.idle));
  w.follower.let_go();
}

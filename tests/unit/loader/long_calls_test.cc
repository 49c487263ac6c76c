// SPDX-License-Identifier: Apache-2.0
#include "loader/long_calls.h"

#include <catch2/catch.hpp>
#include <string>
#include <time.h>

#include "tests/unit/loader/scripted_os.h"

using namespace bpfemu;

namespace {

struct World {
  ScriptedOs os;
  TrapHandler traps;
  TaskEnv env{os, traps, {}, -1, {}, -1, {}};
  std::shared_ptr<Process> process = std::make_shared<Process>();
  LongCalls calls;
  World() {
    process->tgid = 1;
    process->memory = std::make_shared<Memory>();
  }
};

// Longer than a slice.
void work() {
  const timespec time = {0, 1'000'000};
  ::nanosleep(&time, nullptr);
}

}  // namespace

TEST_CASE("short work is done at once, long work stands aside") {
  LongCalls calls;
  std::string order;
  calls.begin(nullptr, [&] {
    (void)calls.breathe(nullptr);
    order += "short ";
  });
  CHECK(calls.empty());
  calls.begin(nullptr, [&] {
    order += "a";
    work();
    (void)calls.breathe(nullptr);
    order += "b";
  });
  CHECK(order == "short a");
  CHECK(calls.ready());
  calls.run_slice();
  CHECK(order == "short ab");
  CHECK(calls.empty());
}

TEST_CASE("who sleeps is left alone until somebody wakes it") {
  World w;
  TracedTask task(w.env, 1, w.process);
  bool done = false, slept = true;
  w.calls.begin(&task, [&] { slept = w.calls.sleep(task, [&] { return done; }); });
  CHECK_FALSE(w.calls.empty());
  CHECK_FALSE(w.calls.ready());
  w.calls.wake();
  CHECK(w.calls.ready());
  w.calls.run_slice();
  CHECK_FALSE(w.calls.ready());
  done = true;
  w.calls.wake();
  w.calls.run_slice();
  CHECK(w.calls.empty());
  CHECK_FALSE(slept);
}

TEST_CASE("a thread's end waits for what cannot end early") {
  World w;
  TracedTask task(w.env, 1, w.process), other(w.env, 2, w.process);
  const StopEvent end{StopEvent::Kind::kExiting, 1, 0};
  int turns = 0;
  bool gone = false;
  w.calls.begin(&task, [&] {
    for (; turns < 3; ++turns) {
      work();
      gone = w.calls.breathe(&task);
    }
  });
  CHECK(w.calls.end_of_thread(2, end));
  CHECK_FALSE(w.calls.end_of_thread(1, end));
  CHECK(w.calls.ended().empty());
  while (!w.calls.empty()) w.calls.run_slice();
  CHECK(turns == 3);
  CHECK(gone);
  const std::vector<StopEvent> ended = w.calls.ended();
  REQUIRE(ended.size() == 1);
  CHECK(ended[0].tid == 1);
  CHECK(w.calls.ended().empty());
}

TEST_CASE("what can end early ends with its thread or group, and everything at the end") {
  World w;
  TracedTask task(w.env, 1, w.process);
  const bool group = GENERATE(true, false);
  bool cut = false;
  const auto endless = [&] {
    while (!(cut = w.calls.pause())) work();
  };
  w.calls.begin(&task, endless);
  const StopEvent end{StopEvent::Kind::kExec, 1, 0};
  CHECK_FALSE((group ? w.calls.end_of_group(1, end) : w.calls.end_of_thread(1, end)));
  CHECK(cut);
  CHECK(w.calls.empty());
  CHECK(w.calls.ended().size() == 1);
  w.calls.begin(nullptr, [&] {
    for (;;) work(), (void)w.calls.breathe(nullptr);
  });
  w.calls.end_all();
  CHECK(w.calls.empty());
}

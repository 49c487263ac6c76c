// SPDX-License-Identifier: Apache-2.0
#include "loader/waker.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <catch2/catch.hpp>

using namespace bpfemu;

namespace {

// What the tracer does: blocks in a wait that only the waker ends.
void attend_until(Waker& waker, const bool& done) {
  const pid_t sleeper = ::fork();
  if (sleeper == 0) {
    ::alarm(10);
    for (;;) ::pause();
  }
  while (!done) {
    int status = 0;
    if (::wait4(-1, &status, 0, nullptr) == sleeper) break;
    if (waker.pending()) waker.attend();
  }
  ::kill(sleeper, SIGKILL);
  ::waitpid(sleeper, nullptr, 0);
  CHECK(done);
}

u64 now_ms() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * u64{1000} + t.tv_nsec / 1000000;
}

}  // namespace

TEST_CASE("timers, descriptors and signals end a blocking wait") {
  Waker waker;
  bool done = false;
  int signal_seen = 0;
  REQUIRE(waker.start(u64{1} << (SIGUSR1 - 1), [&](const signalfd_siginfo& info) {
    signal_seen = static_cast<int>(info.ssi_signo);
    done = true;
  }));

  int fired = 0;
  const u64 start = now_ms();
  const u64 id = waker.add_timer(20'000'000, 20'000'000, [&] { done = ++fired == 3; });
  attend_until(waker, done);
  CHECK(now_ms() - start >= 60);
  waker.cancel_timer(id);

  done = false;
  int once = 0;
  waker.add_timer(5'000'000, 0, [&] { ++once; });
  waker.add_timer(40'000'000, 0, [&] { done = true; });
  attend_until(waker, done);
  CHECK(once == 1);
  CHECK(fired == 3);

  done = false;
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  REQUIRE(waker.watch(event.get(), [&] {
    u64 value = 0;
    if (::read(event.get(), &value, sizeof value) == sizeof value) done = value == 7;
  }));
  waker.add_timer(10'000'000, 0, [&] {
    const u64 seven = 7;
    CHECK(::write(event.get(), &seven, sizeof seven) == sizeof seven);
  });
  attend_until(waker, done);

  done = false;
  waker.add_timer(10'000'000, 0, [&] { ::kill(::getpid(), SIGUSR1); });
  attend_until(waker, done);
  CHECK(signal_seen == SIGUSR1);
}

// SPDX-License-Identifier: Apache-2.0
#include "loader/event.h"

#include <signal.h>
#include <sys/ptrace.h>

#include <catch2/catch.hpp>

using namespace bpfemu;
using Kind = StopEvent::Kind;

namespace {

constexpr int stop(int signal, int event = 0) {
  return event << 16 | signal << 8 | 0x7f;
}

}  // namespace

TEST_CASE("each wait status has one meaning") {
  struct Case {
    int status;
    Kind kind;
    int value;
  };
  const Case cases[] = {
      {0x0300, Kind::kDead, 0x0300},
      {SIGKILL, Kind::kDead, SIGKILL},
      {stop(SIGTRAP, PTRACE_EVENT_SECCOMP), Kind::kSeccomp, SIGTRAP},
      {stop(SIGTRAP | 0x80), Kind::kSyscall, 0},
      {stop(SIGUSR1), Kind::kSignal, SIGUSR1},
      {stop(SIGTRAP), Kind::kSignal, SIGTRAP},
      {stop(SIGSTOP), Kind::kSignal, SIGSTOP},
      {stop(SIGSTOP, PTRACE_EVENT_STOP), Kind::kGroupStop, SIGSTOP},
      {stop(SIGTTIN, PTRACE_EVENT_STOP), Kind::kGroupStop, SIGTTIN},
      {stop(SIGTRAP, PTRACE_EVENT_STOP), Kind::kTrap, SIGTRAP},
      {stop(SIGTRAP, PTRACE_EVENT_FORK), Kind::kFork, SIGTRAP},
      {stop(SIGTRAP, PTRACE_EVENT_VFORK), Kind::kVfork, SIGTRAP},
      {stop(SIGTRAP, PTRACE_EVENT_CLONE), Kind::kClone, SIGTRAP},
      {stop(SIGTRAP, PTRACE_EVENT_VFORK_DONE), Kind::kVforkDone, SIGTRAP},
      {stop(SIGTRAP, PTRACE_EVENT_EXEC), Kind::kExec, SIGTRAP},
      {stop(SIGTRAP, PTRACE_EVENT_EXIT), Kind::kExiting, SIGTRAP},
  };
  for (const Case& c : cases) {
    const StopEvent event = decode({12, c.status});
    INFO("status " << std::hex << c.status);
    CHECK(event.kind == c.kind);
    CHECK(event.value == c.value);
    CHECK(event.tid == 12);
  }
  CHECK(decode({0, 0}).kind == Kind::kNone);
}

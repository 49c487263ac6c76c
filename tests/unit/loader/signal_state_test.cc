// SPDX-License-Identifier: Apache-2.0
// What becomes of a signal; the numbers are those that signal:signal_generate gave on 6.1.192.
#include "loader/signal_state.h"

#include <signal.h>

#include <catch2/catch.hpp>

using namespace bpfemu;

namespace {

constexpr u64 bit(int signal) {
  return u64{1} << (signal - 1);
}

}  // namespace

TEST_CASE("signals are delivered, ignored, or pending already") {
  SignalFacts target;
  CHECK(signal_outcome(target, SIGTERM, true) == kSignalDelivered);
  CHECK(signal_outcome(target, SIGCHLD, true) == kSignalIgnored);  // by default
  CHECK(signal_outcome(target, SIGCONT, true) == kSignalIgnored);
  target.caught = bit(SIGCHLD);
  CHECK(signal_outcome(target, SIGCHLD, true) == kSignalDelivered);
  target.ignored = bit(SIGUSR2);
  CHECK(signal_outcome(target, SIGUSR2, true) == kSignalIgnored);
  target.blocked = bit(SIGUSR2) | bit(SIGTERM) | bit(40);
  CHECK(signal_outcome(target, SIGUSR2, true) == kSignalDelivered);  // what is blocked is not ignored
  target.shared_pending = bit(SIGTERM) | bit(40);
  CHECK(signal_outcome(target, SIGTERM, true) == kSignalPending);
  CHECK(signal_outcome(target, SIGTERM, false) == kSignalDelivered);  // threads have queues of their own
  CHECK(signal_outcome(target, 40, true) == kSignalDelivered);        // real-time signals are queued
}

TEST_CASE("a process that is about to die ignores everything") {
  SignalFacts target{.state = 'Z'};
  CHECK(signal_outcome(target, SIGTERM, true) == kSignalIgnored);
  target = {.state = 'S', .shared_pending = bit(SIGTERM)};
  CHECK(signal_outcome(target, SIGKILL, true) == kSignalIgnored);
  target.caught = bit(SIGTERM);
  CHECK(signal_outcome(target, SIGKILL, true) == kSignalDelivered);
  target = {.state = 'S', .shared_pending = bit(SIGQUIT)};  // it dumps its core first
  CHECK(signal_outcome(target, SIGKILL, true) == kSignalDelivered);
  CHECK(ends_process({}, SIGTERM));
  CHECK(ends_process({.blocked = ~u64{0}}, SIGKILL));
  CHECK_FALSE(ends_process({.caught = bit(SIGTERM)}, SIGTERM));
  CHECK_FALSE(ends_process({}, SIGSTOP));
  CHECK_FALSE(ends_process({}, SIGCHLD));
}

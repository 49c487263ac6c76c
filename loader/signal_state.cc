// SPDX-License-Identifier: Apache-2.0
#include "loader/signal_state.h"

#include <signal.h>

#include <initializer_list>

namespace bpfemu {

namespace {

constexpr u64 set_of(std::initializer_list<int> signals) {
  u64 set = 0;
  for (int signal : signals) set |= u64{1} << (signal - 1);
  return set;
}

// kernel: include/linux/signal.h.
constexpr u64 kIgnoredByDefault = set_of({SIGCONT, SIGCHLD, SIGWINCH, SIGURG});
constexpr u64 kStopping = set_of({SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU});
constexpr u64 kDumping = set_of({SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSEGV, SIGBUS, SIGSYS, SIGXCPU, SIGXFSZ});
constexpr int kFirstQueued = 32;  // the kernel's SIGRTMIN: from here on signals are queued, not merged

bool ignores(const SignalFacts& target, int signal) {
  if (has(target.ignored, signal)) return true;
  return has(kIgnoredByDefault, signal) && !has(target.caught, signal);
}

// The signals that end the process without a word to it.
u64 ending(const SignalFacts& target) {
  const u64 others = target.blocked | target.ignored | target.caught | kIgnoredByDefault | kStopping | kDumping;
  return ~others | set_of({SIGKILL});
}

bool is_dying(const SignalFacts& target) {
  return target.state == 'Z' || target.state == 'X' || (target.pending() & ending(target));
}

}  // namespace

// kernel: complete_signal.
bool ends_process(const SignalFacts& target, int signal) {
  return has(ending(target), signal);
}

bool is_fault(int signal) {
  return has(set_of({SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS}), signal);
}

bool dumps_core(int signal) {
  return has(kDumping, signal);
}

int signal_outcome(const SignalFacts& target, int signal, bool group) {
  if (is_dying(target)) return kSignalIgnored;
  if (!has(target.blocked, signal) && ignores(target, signal)) return kSignalIgnored;
  const u64 pending = group ? target.shared_pending : target.thread_pending;
  return signal < kFirstQueued && has(pending, signal) ? kSignalPending : kSignalDelivered;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "loader/event.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

namespace bpfemu {

namespace {

using Kind = StopEvent::Kind;

Kind ptrace_event(int event, int signal) {
  switch (event) {
    case PTRACE_EVENT_SECCOMP: return Kind::kSeccomp;
    case PTRACE_EVENT_FORK: return Kind::kFork;
    case PTRACE_EVENT_VFORK: return Kind::kVfork;
    case PTRACE_EVENT_CLONE: return Kind::kClone;
    case PTRACE_EVENT_VFORK_DONE: return Kind::kVforkDone;
    case PTRACE_EVENT_EXEC: return Kind::kExec;
    case PTRACE_EVENT_EXIT: return Kind::kExiting;
    // A group stop carries the stopping signal, everything else SIGTRAP (kernel: do_jobctl_trap).
    case PTRACE_EVENT_STOP: return signal == SIGTRAP ? Kind::kTrap : Kind::kGroupStop;
    default: return Kind::kNone;
  }
}

}  // namespace

StopEvent decode(Waited waited) {
  const int status = waited.status;
  if (waited.tid <= 0) return {};
  if (!WIFSTOPPED(status)) return {Kind::kDead, waited.tid, status};
  const int signal = WSTOPSIG(status), event = status >> 16;
  if (event != 0) return {ptrace_event(event, signal), waited.tid, signal};
  if (signal == (SIGTRAP | 0x80)) return {Kind::kSyscall, waited.tid, 0};
  return {Kind::kSignal, waited.tid, signal};
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "loader/held_signal.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/forced_signal.h"

namespace bpfemu {

namespace {

constexpr u64 bit(int signal) {
  return u64{1} << (signal - 1);
}
// What the instruction itself can raise; blocked, these would kill.
constexpr u64 kFaults = bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGFPE) | bit(SIGTRAP);

void hold(TracedTask& task, int request) {
  const Result<siginfo_t> info = task.signal_info();
  const Result<u64> mask = task.signal_mask();
  if (!info || !mask) return;
  task.held = TracedTask::HeldSignal{*info, *mask};
  (void)task.set_signal_mask(~kFaults);
  (void)task.resume(request, 0);
}

}  // namespace

void hold_signal(TracedTask& task) {
  hold(task, PTRACE_SINGLESTEP);
}

void hold_signal_until_call(TracedTask& task) {
  hold(task, PTRACE_CONT);
}

int release_signal(TracedTask& task, const StopEvent& event) {
  const TracedTask::HeldSignal held = *std::exchange(task.held, std::nullopt);
  if (event.kind == StopEvent::Kind::kDead || event.kind == StopEvent::Kind::kExiting) return 0;
  (void)task.set_signal_mask(held.mask);
  const Result<siginfo_t> info = task.signal_info();
  const bool stepped =
      event.kind == StopEvent::Kind::kSignal && event.value == SIGTRAP && info && info->si_code == TRAP_TRACE;
  siginfo_t sent = held.info;
  if (stepped) {
    restore_forced(task, SIGTRAP);
    if (!task.displaced() && task.set_signal_info(sent)) return sent.si_signo;
  }
  if (::syscall(SYS_rt_tgsigqueueinfo, task.tgid(), task.tid(), sent.si_signo, &sent) != 0)
    ::syscall(SYS_tgkill, task.tgid(), task.tid(), sent.si_signo);
  return stepped ? -1 : 0;
}

}  // namespace bpfemu

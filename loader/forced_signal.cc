// SPDX-License-Identifier: Apache-2.0
#include "loader/forced_signal.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <iterator>

#include "loader/proc_files.h"

namespace bpfemu {

namespace {

constexpr u64 kDefault = 0, kIgnore = 1;
constexpr u64 bit(int signal) {
  return u64{1} << (signal - 1);
}

SignalAction* shadow_of(Process& process, u64 signal) {
  if (signal == SIGTRAP) return &process.trap_action;
  if (signal == SIGSYS) return &process.sys_action;
  if (signal == SIGSEGV) return &process.segv_action;
  if (signal == SIGBUS) return &process.bus_action;
  return nullptr;
}

// Programs block single signals they handle, and all of them in code that must not be disturbed. A thread that blocks
// the signals of its own faults blocks everything.
bool blocks_everything(u64 mask) {
  constexpr u64 kFaults = bit(SIGSEGV) | bit(SIGBUS) | bit(SIGFPE) | bit(SIGILL);
  return (mask & kFaults) == kFaults;
}

// Calls whose interruption without a handler shows (man 7 signal), and where a timeout in milliseconds stands: -1 none.
struct Interruptible {
  u64 number;
  int timeout_ms;
};
constexpr Interruptible kInterruptible[] = {
    {SYS_epoll_wait, 3},    {SYS_epoll_pwait, 3},    {SYS_epoll_pwait2, -1}, {SYS_rt_sigtimedwait, -1},
    {SYS_semop, -1},        {SYS_semtimedop, -1},    {SYS_msgrcv, -1},       {SYS_msgsnd, -1},
    {SYS_io_getevents, -1}, {SYS_io_pgetevents, -1}, {SYS_recvfrom, -1},     {SYS_recvmsg, -1},
    {SYS_recvmmsg, -1},     {SYS_sendto, -1},        {SYS_sendmsg, -1},      {SYS_accept, -1},
    {SYS_accept4, -1},      {SYS_connect, -1},       {SYS_futex, -1},         {SYS_io_uring_enter, -1},
    // These when their timeout is in memory that they cannot update (kernel: poll_select_finish).
    {SYS_ppoll, -1},        {SYS_pselect6, -1},      {SYS_select, -1},
};

u64* timeout_register(PtRegs& regs, int argument) {
  return argument == 3 ? &regs.r10 : nullptr;
}

}  // namespace

u64 without_effect(const SignalFacts& facts) {
  constexpr u64 kNothingByDefault = bit(SIGCHLD) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGCONT);
  return (facts.ignored | kNothingByDefault) & ~facts.caught;
}

void shadow_sigaction(TracedTask& task, const std::array<u64, 6>& args) {
  SignalAction* const shadow = shadow_of(task.process(), args[0]);
  SignalAction action;
  if (shadow && args[1] && args[3] == sizeof(u64) && task.read(args[1], &action, sizeof action)) *shadow = action;
}

void shadow_exec(Process& process) {
  for (SignalAction* action : {&process.trap_action, &process.sys_action, &process.segv_action, &process.bus_action})
    *action = SignalAction{action->handler == kIgnore ? kIgnore : kDefault, 0, 0, 0};
}

void restore_forced(TracedTask& task, int signal) {
  const SignalAction action = *shadow_of(task.process(), signal);
  // Within a remote call all signals are blocked: what counts is the program's own mask.
  const Result<u64> mask = task.program_mask() ? Result<u64>(*task.program_mask()) : task.signal_mask();
  if (!mask) return;
  bool was_blocked = blocks_everything(*mask | bit(signal));
  // With nothing blocked and nothing ignored the kernel had no reason to touch anything.
  if (action.handler != kDefault && (*mask != 0 || action.handler == kIgnore)) {
    const Result<SignalFacts> facts = read_signal_facts(task.tid());
    const bool reset = facts && !((facts->caught | facts->ignored) & bit(signal));
    if (reset) {
      was_blocked = was_blocked || action.handler != kIgnore;
      const Result<u64> at = task.scratch(sizeof action);
      if (at && task.write(*at, &action, sizeof action))
        (void)task.call(SYS_rt_sigaction, {static_cast<u64>(signal), *at, 0, sizeof(u64)});
    }
  }
  // A remote call has every signal blocked and puts back the mask that it found: change that one.
  if (was_blocked) (void)task.set_program_mask(*mask | bit(signal));
}

Restart restart_interrupted(TracedTask& task, u64 asleep_ns) {
  PtRegs& regs = task.regs();
  if (static_cast<s64>(regs.rax) != -EINTR || static_cast<s64>(regs.orig_rax) < 0) return Restart::kNo;
  const auto* call = std::find_if(std::begin(kInterruptible), std::end(kInterruptible),
                                  [&](const Interruptible& i) { return i.number == regs.orig_rax; });
  if (call == std::end(kInterruptible)) return Restart::kNo;
  task.restart_call(regs.orig_rax);
  u64* const timeout = timeout_register(regs, call->timeout_ms);
  const int ms = timeout ? static_cast<int>(*timeout) : 0;
  if (ms <= 0) return Restart::kYes;
  *timeout = static_cast<u64>(std::max<s64>(0, ms - static_cast<s64>(asleep_ns / 1'000'000)));
  return Restart::kShortened;
}

// Calls that move all of what they are given, and return less only when they are interrupted.
bool is_partial(TracedTask& task, s64 result) {
  const PtRegs& regs = task.regs();
  if (result <= 0 || static_cast<u64>(result) >= regs.rdx) return false;
  switch (regs.orig_rax) {
    case SYS_write:
    case SYS_sendto: return true;
    case SYS_recvfrom: return regs.r10 & MSG_WAITALL;
    default: return false;
  }
}

void continue_transfer(TracedTask& task, s64 moved) {
  task.regs().rsi += static_cast<u64>(moved);
  task.regs().rdx -= static_cast<u64>(moved);
}

bool is_ignored(TracedTask& task, int signal) {
  const Result<SignalFacts> facts = read_signal_facts(task.tid());
  return facts && (without_effect(*facts) & bit(signal)) != 0;
}

bool is_interrupted(TracedTask& task) {
  const Result<SignalFacts> facts = read_signal_facts(task.tid());
  if (!facts) return true;
  return (facts->pending() & ~task.program_mask().value_or(facts->blocked) & ~without_effect(*facts)) != 0;
}

bool has_signal(TracedTask& task) {
  const Result<SignalFacts> facts = read_signal_facts(task.tid());
  return facts && (facts->pending() & ~task.program_mask().value_or(facts->blocked)) != 0;
}

bool is_restart(s64 result) {
  return result == -512 || result == -513 || result == -514 || result == -516;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// signal:signal_generate and signal_deliver. A signal that a traced thread sends is reported before its call runs, since
// the call may be its end and the target may act before it returns; the one that tells of a process' end when its last
// thread exits; those that the kernel makes otherwise when they are about to be delivered.
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "loader/call_args.h"
#include "loader/forced_signal.h"
#include "loader/signal_state.h"
#include "loader/tracer.h"

namespace bpfemu {

namespace {

// Which argument is the target, the signal and the siginfo (kernel: the SYSCALL_DEFINEs of kernel/signal.c).
struct Sender {
  long number;
  int target, signal, info;  // info -1: none
  bool group;
  int code;  // without a siginfo
};
constexpr Sender kSenders[] = {
    {SYS_kill, 0, 1, -1, true, SI_USER},
    {SYS_tkill, 0, 1, -1, false, SI_TKILL},
    {SYS_tgkill, 1, 2, -1, false, SI_TKILL},
    {SYS_rt_sigqueueinfo, 0, 1, 2, true, SI_QUEUE},
    {SYS_rt_tgsigqueueinfo, 1, 2, 3, false, SI_QUEUE},
    {SYS_pidfd_send_signal, 0, 1, 2, true, SI_USER},
};
constexpr int kMaxSignal = 64;

const Sender* sender_of(long number) {
  const auto sender = std::ranges::find(kSenders, number, &Sender::number);
  return sender == std::end(kSenders) ? nullptr : &*sender;
}

// The same call with signal 0 looks whether it may and generates nothing.
bool may_send(TracedTask& task, const Call& call, const Sender& sender) {
  std::array<u64, 6> args = call.args;
  args[sender.signal] = 0;
  if (sender.number == SYS_pidfd_send_signal) args[sender.info] = 0;  // its signal number would have to agree
  return task.call(call.number, args).has_value();
}

}  // namespace

const SyscallSet& Tracer::signal_calls() {
  static const SyscallSet set = [] {
    SyscallSet s;
    for (const Sender& sender : kSenders) s.set(sender.number);
    return s;
  }();
  return set;
}

// The processes that kill() with a `target` that is no process signals, in the kernel's order (__kill_pgrp_info: the
// newest member first; kill_something_info). Only supervised ones exist for a tool.
std::vector<pid_t> Tracer::members(const TracedTask& task, pid_t target) const {
  std::vector<pid_t> groups = tasks_.thread_groups();
  if (target == -1) {
    std::erase(groups, task.tgid());
    std::ranges::sort(groups);
  } else {
    const pid_t wanted = target == 0 ? ::getpgid(task.tgid()) : -target;
    std::erase_if(groups, [&](pid_t tgid) { return ::getpgid(tgid) != wanted; });
    std::ranges::sort(groups, std::greater());
  }
  return groups;
}

void Tracer::signal_sent(TracedTask& task, const Call& call) {
  const Sender& sender = *sender_of(call.number);
  GeneratedSignal made{.signal = static_cast<int>(call.args[sender.signal]),
                       .code = sender.code,
                       .group = sender.group,
                       .origin = SignalOrigin::kCall};
  if (made.signal <= 0 || made.signal > kMaxSignal) return;
  siginfo_t info;
  if (sender.info >= 0 && call.args[sender.info] != 0) {
    if (!task.read(call.args[sender.info], &info, sizeof info)) return;
    made.error = info.si_errno;
    made.code = info.si_code;
  }
  const pid_t target = static_cast<pid_t>(call.args[sender.target]);
  if (call.number == SYS_kill && target <= 0) {
    made.origin = target == -1 ? SignalOrigin::kOther : SignalOrigin::kGroupCall;
    for (pid_t member : members(task, target))
      if (task.call(SYS_kill, {static_cast<u64>(member), 0})) generate(task, made, member);
    return;
  }
  const pid_t tid = call.number == SYS_pidfd_send_signal ? read_pidfd(task.tid(), target).value_or(0) : target;
  if (tid > 0 && may_send(task, call, sender)) generate(task, made, tid);
}

// Reports the signal, whose target is all that is missing.
void Tracer::generate(TracedTask& sender, GeneratedSignal made, pid_t target) {
  TracedTask* const traced = tasks_.find(target);
  Result<SignalFacts> state = read_signal_facts(target);
  // Who has just asked for us has all signals blocked.
  if (state && traced && traced->program_mask()) state->blocked = *traced->program_mask();
  const bool dying = !state || (traced && (traced->process().dying || traced->exit_reported));
  made.target = target;
  made.comm = read_comm(target);
  made.outcome = dying ? kSignalIgnored : signal_outcome(*state, made.signal, made.group);
  if (traced) {
    const u64 bit = u64{1} << (made.signal - 1);
    traced->process().signals_reported |= bit;
    traced->process().signals_blocked &= ~bit;  // who waited for one took it himself
    if (state && has(state->blocked, made.signal)) traced->process().signals_blocked |= bit;
    if (made.outcome == kSignalDelivered && ends_process(*state, made.signal)) traced->process().dying = true;
  }
  handler_->events()->signal_generated(&sender, made);
}

// A signal is about to be delivered. What untraced threads never see is not told of (kernel: prepare_signal); those that end
// a process at once are SIGKILL for all its threads by then (complete_signal).
void Tracer::signal_delivered(TracedTask& task, int signal) {
  const u64 bit = u64{1} << (signal - 1);
  const bool was_blocked = task.process().signals_blocked & bit;
  task.process().signals_blocked &= ~bit;
  EventSink* const sink = handler_->events();
  if (!sink || !sink->awaits_deliveries()) return;
  const Result<SignalFacts> facts = read_signal_facts(task.tid());
  const Result<siginfo_t> info = task.signal_info();
  const bool without = facts && (without_effect(*facts) & bit);
  if (!facts || !info || (without && !was_blocked)) return;
  if (without || has(facts->caught, signal)) {
    // What its handler is can be asked behind it.
    task.delivery = {*info, task.regs()};
    (void)task.interrupt();
    return;
  }
  const bool ends = ends_process(*facts, signal);
  task.end_delivered = ends || dumps_core(signal);
  const DeliveredSignal own{.signal = signal, .error = info->si_errno, .code = info->si_code};
  sink->signal_delivered(task, task.regs(), ends && !was_blocked ? DeliveredSignal{.signal = SIGKILL} : own);
}

// The thread has stopped behind it, at the first instruction of a handler unless that could not be called.
void Tracer::signal_handled(TracedTask& task) {
  const TracedTask::Delivery delivery = *std::exchange(task.delivery, std::nullopt);
  EventSink* const sink = handler_->events();
  if (!sink || task.at() != TracedTask::At::kTrap) return note("signal_deliver of a handler that could not be called");
  DeliveredSignal made{.signal = delivery.info.si_signo,
                       .error = delivery.info.si_errno,
                       .code = delivery.info.si_code};
  SignalAction action;
  const Result<u64> at = task.scratch(sizeof action);
  if (at && task.call(SYS_rt_sigaction, {static_cast<u64>(made.signal), 0, *at, sizeof(u64)}) &&
      task.read(*at, &action, sizeof action))
    made.handler = action.handler, made.flags = action.flags, made.restorer = action.restorer, made.mask = action.mask;
  if (action.flags & SA_RESETHAND) made.handler = task.regs().rip;
  PtRegs regs = delivery.regs;
  sink->signal_delivered(task, regs, made);
}

// A thread that does not end by itself is ended by SIGKILL, which others of its process or it have turned their ends into.
void Tracer::end_delivered(TracedTask& task, bool killed) {
  EventSink* const sink = handler_->events();
  if (sink && killed && sink->awaits_deliveries() && !std::exchange(task.end_delivered, true))
    sink->signal_delivered(task, task.regs(), {.signal = SIGKILL});
}

// kernel: do_notify_parent, which the last thread of a process calls.
void Tracer::child_died(TracedTask& task, int status) {
  for (const TracedTask* sibling : task.process().threads)
    if (sibling != &task && !sibling->exit_reported) return;
  const Result<ChildFacts> child = read_child_facts(task.tgid());
  if (!child || child->exit_signal <= 0 || child->parent == ::getpid()) return;
  const TracedTask* const forked = tasks_.find(task.process().parent);
  const pid_t parent = forked && forked->tgid() == child->parent ? forked->tid() : child->parent;
  const Result<SignalFacts> state = read_signal_facts(parent);
  if (!state || (child->exit_signal == SIGCHLD && has(state->ignored, SIGCHLD))) return;
  const int code = status & 0x80 ? CLD_DUMPED : status & 0x7f ? CLD_KILLED : CLD_EXITED;
  const bool leads = task.tid() == task.tgid();
  generate(task,
           {.signal = child->exit_signal,
            .code = code,
            .group = true,
            .origin = leads ? SignalOrigin::kExit : SignalOrigin::kLastThread,
            .status = status},
           parent);
}

// A signal is about to be delivered to the thread: was it the kernel's own?
void Tracer::signal_raised(TracedTask& task, int signal) {
  const Result<siginfo_t> info = task.signal_info();
  if (!info || !handler_->events()) return;
  const u64 bit = u64{1} << (signal - 1);
  const bool reported = task.process().signals_reported & bit;
  task.process().signals_reported &= ~bit;
  GeneratedSignal made{.signal = signal, .error = info->si_errno, .code = info->si_code, .group = true};
  TracedTask* sender = &task;
  const bool in_call = static_cast<s64>(task.regs().orig_rax) >= 0;
  // A stopped child and its end may be told of one after the other.
  const bool of_child = signal == SIGCHLD && info->si_code > 0;
  if (of_child ? info->si_code <= CLD_DUMPED : reported && (info->si_code <= 0 || !is_fault(signal))) return;
  if (of_child) {
    if (TracedTask* child = tasks_.find(info->si_pid)) sender = child;
  } else if (info->si_code == SI_USER && info->si_pid == task.tgid() && (signal == SIGPIPE || signal == SIGXFSZ)) {
    made.group = false;  // the thread's own call went wrong (kernel: send_sig)
  } else if (info->si_code == SI_TIMER) {
    made.group = !timer_wants_thread(task.tgid(), info->si_timerid);
    if (in_call) sender = nullptr;
  } else if (info->si_code <= 0) {
    // Nobody knows who ran then.
    if (info->si_pid != ::getpid()) note("signals of processes that are not supervised, and PR_SET_PDEATHSIG");
    return;
  } else if (is_fault(signal)) {
    made.group = false;
    made.origin = SignalOrigin::kFault;
  } else if (signal == SIGALRM && in_call) {
    sender = nullptr;
  }
  made.target = made.group ? task.tgid() : task.tid();
  made.comm = read_comm(made.target);
  made.outcome = made.origin != SignalOrigin::kFault && is_ignored(task, signal) ? kSignalIgnored : 0;
  handler_->events()->signal_generated(sender, made);
}

}  // namespace bpfemu

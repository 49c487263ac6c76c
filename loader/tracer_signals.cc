// SPDX-License-Identifier: Apache-2.0
// signal:signal_generate. Signals that a traced thread sends are reported when its call returns, those that the kernel
// makes when they are about to be delivered.
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>

#include "loader/proc_files.h"
#include "loader/tracer.h"

namespace bpfemu {

namespace {

// Which argument is the target, which the signal (kernel: the SYSCALL_DEFINEs of kernel/signal.c).
struct Sender {
  long number;
  int target, signal;
  bool group;
  int code;
};
constexpr Sender kSenders[] = {
    {SYS_kill, 0, 1, true, SI_USER},
    {SYS_tkill, 0, 1, false, SI_TKILL},
    {SYS_tgkill, 1, 2, false, SI_TKILL},
    {SYS_rt_sigqueueinfo, 0, 1, true, SI_QUEUE},
    {SYS_rt_tgsigqueueinfo, 1, 2, false, SI_QUEUE},
};

std::string comm_of(pid_t tid) {
  std::string comm = read_proc(tid, "comm").value_or("");
  if (!comm.empty() && comm.back() == '\n') comm.pop_back();
  return comm;
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

void Tracer::signal_sent(TracedTask& task, const Call& call) {
  for (const Sender& sender : kSenders) {
    const int signal = static_cast<int>(call.args[sender.signal]);
    const pid_t target = static_cast<pid_t>(call.args[sender.target]);
    if (sender.number != call.number || signal == 0 || target <= 0) continue;
    handler_->events()->signal_generated(task, signal, 0, sender.code, comm_of(target).c_str(), target, sender.group,
                                         0);
  }
}

void Tracer::signal_raised(TracedTask& task, int signal) {
  const Result<siginfo_t> info = task.signal_info();
  EventSink* const sink = handler_->events();
  if (!info || !sink || info->si_code <= 0) return;
  // SIGCHLD is made by the child that it tells of.
  TracedTask* const sender = signal == SIGCHLD ? tasks_.find(info->si_pid) : nullptr;
  sink->signal_generated(sender ? *sender : task, signal, info->si_errno, info->si_code, comm_of(task.tid()).c_str(),
                         task.tid(), signal == SIGCHLD, 0);
}

}  // namespace bpfemu

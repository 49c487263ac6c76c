// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/trace_flags.h"

#include <linux/bpf.h>

#include <csignal>

#include "emu/hook/event.h"
#include "emu/probe/point.h"

namespace bpfemu {

namespace {

// Signals are generated and delivered under the lock of their handlers, those of ended children are generated under that of
// the list of tasks, too.
enum class Locks { kNone, kSignal, kTasks };

Locks locks_at(const Point* point, const Event* event) {
  if (point && point->is_at(Hook::trace_signal_deliver)) return Locks::kSignal;
  if (!point || !event || !point->is_at(Hook::trace_signal_generate)) return Locks::kNone;
  const bool child = event->signal == SIGCHLD && event->code >= CLD_EXITED && event->code <= CLD_CONTINUED;
  return child ? Locks::kTasks : Locks::kSignal;
}

bool is_raw_tracepoint(const ProgramText& program) {
  if (program.type == BPF_PROG_TYPE_TRACING) return program.expected_attach_type == BPF_TRACE_RAW_TP;
  return program.type == BPF_PROG_TYPE_RAW_TRACEPOINT || program.type == BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE;
}

}  // namespace

// bpf_trace_printk itself disables preemption once; tracepoints and kprobes do so around the program, and whatever is no
// raw tracepoint disables migration.
std::string_view trace_flags(const ProgramText& program, const Point* point, const Event* event, bool in_interrupt) {
  const Locks locks = locks_at(point, event);
  if (is_raw_tracepoint(program)) {
    return locks == Locks::kTasks ? "d..4." : locks == Locks::kSignal ? "d..3." : "...2.";
  }
  if (program.type == BPF_PROG_TYPE_PERF_EVENT) return in_interrupt ? "d.h1." : "d..2.";
  const bool kprobe = program.type == BPF_PROG_TYPE_KPROBE && (!point || point->where().probe == Point::Probe::kKernel);
  if (program.type != BPF_PROG_TYPE_TRACEPOINT && !kprobe) return "...11";
  return locks == Locks::kTasks ? "d..41" : locks == Locks::kSignal ? "d..31" : "...21";
}

// Uprobes take one level of preemption off that was never there: all bits are set then, as 6.1 shows it.
std::string_view event_flags(const Point& point, const Event& event) {
  const Point::Where& where = point.where();
  if (where.probe == Point::Probe::kUser) return "DNZff";
  if (where.probe == Point::Probe::kKernel) return ".....";
  if (where.listener == Listener::kSyscallEvents) return "...1.";
  if (where.moment != Moment::kHook) return ".....";
  switch (where.hook) {
    case Hook::trace_task_rename: return "...1.";
    case Hook::trace_signal_generate:
    case Hook::trace_signal_deliver: return locks_at(&point, &event) == Locks::kTasks ? "d..2." : "d..1.";
    case Hook::trace_sched_switch:
    case Hook::trace_sched_wakeup_new: return "d..2.";
    case Hook::trace_sched_wakeup: return "d..3.";
    case Hook::trace_sched_waking: return "d..4.";
    case Hook::trace_net_dev_start_xmit: return "b....";
    case Hook::trace_netif_receive_skb: return "..s1.";
    case Hook::trace_kfree_skb: return "..s2.";
    default: return ".....";
  }
}

// Preemption is disabled once more around what perf does, but for system calls, whose lines are counted so, too.
RecordState perf_state(const Point& point, const Event& event) {
  constexpr u8 kInterruptsOff = 1, kSoftInterrupt = 0x10, kSoftInterruptsOff = 0x80;  // kernel: TRACE_FLAG_*
  const Point::Where& where = point.where();
  if (where.probe != Point::Probe::kNone) return {0, 1};
  const std::string_view flags = event_flags(point, event);
  RecordState state;
  if (flags[0] == 'd') state.flags |= kInterruptsOff;
  if (flags[0] == 'b') state.flags |= kSoftInterruptsOff;
  if (flags[2] == 's') state.flags |= kSoftInterrupt;
  const u8 disabled = flags[3] == '.' ? 0 : static_cast<u8>(flags[3] - '0');
  state.preempt_count = where.listener == Listener::kSyscallEvents ? disabled : disabled + 1;
  return state;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/kernel_stack.h"

#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include "emu/hook/functions.h"
#include "emu/kernel/kernel_data.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

constexpr u64 kCodeSegment32 = 0x23;
constexpr int kSignalMask = 0x7f;  // of a wait status
constexpr int kSigIll = 4, kSigTrap = 5, kSigBus = 7, kSigKill = 9, kSigSegv = 11;
constexpr int kFromKernel = 0x80;  // SI_KERNEL

// A frame of one of the functions that the kernel has for each number of arguments: one more is one more push or move.
struct PerArgument {
  std::string_view prefix;
  u32 offset, step;
};
constexpr PerArgument kTraceRun{"bpf_trace_run", 64, 5}, kIterator{"__traceiter_", 33, 8};

class Stack {
 public:
  Stack(const Point& point, const Event& event, KernelFrames& frames)
      : probes_(point.probes()), where_(point.where()), event_(event), frames_(frames) {}

  bool build() {
    // 32-bit calls come through other entries.
    if (event_.regs && event_.regs->cs == kCodeSegment32) return false;
    if (where_.probe == Point::Probe::kKernel) return kprobe();
    if (where_.probe == Point::Probe::kUser || where_.listener == Listener::kSyscallEvents) return true;
    return !where_.tracepoint.empty() && listener() && place();
  }

 private:
  bool append(StackPart part) { return probes_.kernel().stacks().append(part, event_.stack_row(), frames_); }

  bool kprobe() {
    if (!where_.on_return) frames_.push(where_.address + 1);  // behind the breakpoint
    return append(where_.function->caller);
  }

  bool per_argument(const PerArgument& f, std::string_view name) {
    u32 arguments = probes_.tracepoint_arguments(where_.tracepoint);
    u64 start = probes_.kernel().symbols().address(fmt::format("{}{}", f.prefix, name));
    frames_.push(start + f.offset + arguments * f.step);
    return start != 0 && arguments != 0;
  }

  // What lies between the tracepoint and the program. A single listener is called directly.
  bool listener() {
    u32 arguments = probes_.tracepoint_arguments(where_.tracepoint);
    if (where_.listener == Listener::kRaw && !per_argument(kTraceRun, std::to_string(arguments))) return false;
    return probes_.listeners_of(where_.tracepoint) < 2 || per_argument(kIterator, where_.tracepoint);
  }

  bool place() {
    switch (where_.moment) {
      case Moment::kSyscallEnter: return append(StackPart::kSyscallEnter);
      case Moment::kSyscallExit:
        return append(is_first_return(event_) ? StackPart::kFirstReturn : StackPart::kSyscallExit);
      case Moment::kHook: return hook();
      default: return false;
    }
  }

  bool hook() {
    switch (where_.hook) {
      case Hook::trace_sched_process_exit: return append(StackPart::kExit) && death();
      case Hook::trace_signal_generate: return signal();
      case Hook::trace_signal_deliver: return delivery();
      case Hook::trace_sched_switch:
        return (event_.number != SYS_futex || waits_plainly()) && append(StackPart::kSwitch);
      default: return append(row_of(where_.hook).place);
    }
  }

  // Waiting for a futex that hands on priorities, or that another takes the waiter from, sleeps elsewhere.
  bool waits_plainly() const {
    const int what = event_.regs ? static_cast<int>(event_.regs->rsi) & FUTEX_CMD_MASK : -1;
    return what == FUTEX_WAIT || what == FUTEX_WAIT_BITSET;
  }

  // How the thread came to do_exit.
  bool death() {
    const int signal = static_cast<int>(event_.result) & kSignalMask;
    const bool asked = event_.number == SYS_exit || event_.number == SYS_exit_group;
    if (asked && signal == 0) return append(StackPart::kExitCall);
    return append(StackPart::kKilled) && out_of(signal);
  }

  // What the signal took the thread out of.
  bool out_of(int signal) {
    if (event_.number >= 0) return append(StackPart::kSignalInCall);
    return append(StackPart::kSignalInUser) && append(interruption(signal));
  }

  // In user mode another CPU sends it, or the instruction itself; what else interrupts there was not recorded.
  bool delivery() {
    const bool ends = event_.signal == kSigKill;
    if (event_.number < 0 && !ends && event_.code == kFromKernel) return false;
    return append(ends ? StackPart::kEndDelivered : StackPart::kDelivered) && out_of(event_.signal);
  }

  // What took the thread out of user mode when this signal ended it.
  static StackPart interruption(int signal) {
    switch (signal) {
      case kSigSegv:
      case kSigBus: return StackPart::kPageFault;
      case kSigIll: return StackPart::kInvalidOpcode;
      case kSigTrap: return StackPart::kBreakpointTrap;
      default: return StackPart::kInterrupt;
    }
  }

  bool signal() {
    switch (event_.origin) {
      case SignalOrigin::kCall: return append(StackPart::kSend) && append(StackPart::kSender);
      case SignalOrigin::kGroupCall: return append(StackPart::kSend) && append(StackPart::kGroupSender);
      case SignalOrigin::kExit: return append(StackPart::kNotifyParent) && death();
      case SignalOrigin::kLastThread: return append(StackPart::kNotifyParentOfLeader) && death();
      case SignalOrigin::kFault: return append(StackPart::kForced) && fault();
      case SignalOrigin::kOther: return false;
    }
    return false;
  }

  bool fault() {
    const bool unspecific = event_.code == kFromKernel;
    switch (event_.signal) {
      case kSigSegv: return append(unspecific ? StackPart::kForcedByProtectionFault : StackPart::kForcedByPageFault);
      case kSigBus: return append(StackPart::kForcedByPageFault);
      case kSigIll: return append(StackPart::kForcedByInvalidOpcode);
      case kSigTrap: return unspecific && append(StackPart::kForcedByBreakpoint);
      default: return false;
    }
  }

  Probes& probes_;
  const Point::Where& where_;
  const Event& event_;
  KernelFrames& frames_;
};

}  // namespace

bool kernel_frames(const Point& point, const Event& event, KernelFrames& frames) {
  return Stack(point, event, frames).build();
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// What supervised threads do, on its way from the loader to those who listen.
#pragma once

#include <optional>
#include <string>

#include "emu/abi/pt_regs.h"
#include "emu/ports/sites.h"
#include "emu/ports/task.h"

namespace bpfemu {

// What in the kernel made a signal.
enum class SignalOrigin : u8 {
  kOther,
  kCall,        // a system call, for one target
  kGroupCall,   // kill() of a process group
  kExit,        // a process ended: to its parent
  kLastThread,  // the same, when the leader had ended before
  kFault,       // an exception of the target itself
};

// signal:signal_generate (kernel: __send_signal_locked).
struct GeneratedSignal {
  int signal = 0, error = 0, code = 0;  // si_signo, si_errno, si_code
  pid_t target = 0;                     // thread
  std::string comm{};                   // the target's
  bool group = false;                   // to its process
  int outcome = 0;                      // TRACE_SIGNAL_DELIVERED 0, IGNORED 1, ALREADY_PENDING 2
  SignalOrigin origin = SignalOrigin::kOther;
  int status = 0;  // kExit, kLastThread: the sender's wait status
};

// signal:signal_deliver (kernel: get_signal).
struct DeliveredSignal {
  int signal = 0, error = 0, code = 0;  // si_signo, si_errno, si_code
  u64 handler = 0, flags = 0, restorer = 0, mask = 0;  // struct sigaction; of default ones that end or stop, the handler alone
};

// Events, as the loader reports them. Each is called with the thread stopped at the very point.
class EventSink {
 public:
  virtual ~EventSink() = default;
  // A result: the call is denied with it, and must not run.
  virtual std::optional<s64> syscall_entered(Task& task, PtRegs& regs, long number) = 0;
  // What its result is, which a denial behind the call may have made another.
  virtual s64 syscall_exited(Task& task, PtRegs& regs, long number, s64 result) = 0;
  virtual void task_forked(Task& parent, pid_t child, bool thread) = 0;
  // `filename`: the kernel's name for the program (linux_binprm.filename); empty: it cannot be known.
  virtual void task_executed(Task& task, pid_t old_tid, const std::string& filename) = 0;
  virtual void task_exiting(Task& task, int status) = 0;
  // Nothing more comes of it. Between its exit and this it may still be the sender of a signal.
  virtual void task_gone(pid_t tid) = 0;
  // `sender` null: a timer went off while the CPU was idle.
  virtual void signal_generated(Task* sender, const GeneratedSignal& signal) = 0;
  // Does anybody want to know of it? `regs`: those that the thread has where the signal takes it away.
  virtual bool awaits_deliveries() const { return false; }
  virtual void signal_delivered(Task& /*task*/, PtRegs& /*regs*/, const DeliveredSignal& /*signal*/) {}
  // False: nobody wants the site in the thread's address space, it can be taken out there (UPROBE_HANDLER_REMOVE).
  virtual bool site_hit(Task& task, Sites::Id site, PtRegs& regs) = 0;
  // Does somebody (kernel: filter_chain)?
  virtual bool site_wanted(Sites::Id site, pid_t tid) = 0;
  // A process that is concerned cannot be probed there: why.
  virtual void site_lost(Sites::Id site, const char* why) = 0;
  virtual void function_returned(Task& task, u64 cookie, PtRegs& regs) = 0;
  // A program that the thread runs by itself asks for something (emu/runtime/inside/events.h, InsideRequest). `regs`: the
  // thread's own.
  virtual s64 program_asks(Task& /*task*/, PtRegs& /*regs*/, u32 /*helper*/, u32 /*cpu*/,
                           const std::array<u64, 4>& /*arguments*/) { return 0; }
  // The thread did what its debug registers watch (Host::watch); `registers`: a bit for each.
  virtual void watch_hit(Task& /*task*/, u32 /*registers*/) {}
};

}  // namespace bpfemu

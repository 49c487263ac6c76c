// SPDX-License-Identifier: Apache-2.0
// What just happened, as far as contexts and stacks show it to programs.
#pragma once

#include <sys/syscall.h>

#include <functional>

#include "emu/abi/pt_regs.h"
#include "emu/base/types.h"
#include "emu/hook/arguments.h"
#include "emu/ports/event_sink.h"

namespace bpfemu {

class Record;
struct Run;

struct Event {
  Task* task = nullptr;    // whose event it is; null for the clock of an idle CPU
  PtRegs* regs = nullptr;  // its user registers at the stop
  long number = -1;        // system call that the task is in, -1: none
  s64 result = 0;          // of the system call or function; the wait status at exit

  s32 cpu = -1;   // where it happened, -1: where the task is
  const Run* within = nullptr;  // in the middle of this
  u64 time = 0;   // when it happened, if it is told late (CLOCK_MONOTONIC)

  // Of hooks.
  const Arguments* arguments = nullptr;
  const std::function<void(Record&)>* fields = nullptr;  // of a tracepoint's record
  u64 listeners = ~u64{0};  // at its return: those of the entry, by how many there had been until then

  // Of calls that go another way than most of their number: see KernelStacks::append.
  const std::function<long()>* route = nullptr;

  // Of signals, for stacks.
  int signal = 0, code = 0;
  SignalOrigin origin = SignalOrigin::kOther;

  long stack_row() const { return route ? (*route)() : number; }
};

// Is this the first return to user mode of a task just made? It starts in ret_from_fork: none of the functions that its
// creator is in return for it.
inline bool is_first_return(const Event& event) {
  bool makes_task =
      event.number == SYS_clone || event.number == SYS_fork || event.number == SYS_vfork || event.number == SYS_clone3;
  return makes_task && event.result == 0;
}

// System call arguments in the order of the ABI.
inline std::array<u64, 6> syscall_arguments(const PtRegs& regs) {
  return {regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9};
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// What just happened, as far as contexts and stacks show it to programs.
#pragma once

#include <sys/syscall.h>

#include <string>

#include "emu/abi/pt_regs.h"
#include "emu/base/types.h"
#include "emu/ports/event_sink.h"

namespace bpfemu {

struct Event {
  Task* task = nullptr;    // whose event it is; null for the clock of an idle CPU
  PtRegs* regs = nullptr;  // its user registers at the stop
  long number = -1;        // system call that the task is in, -1: none
  s64 result = 0;          // of the system call; the wait status at exit

  pid_t other = 0;             // fork: the child; exec: the old tid; signal: the target
  const char* text = nullptr;  // exec: the path; signal: the target's comm
  int signal = 0, error = 0, code = 0, outcome = 0;
  bool group = false;
  SignalOrigin origin = SignalOrigin::kOther;
};

// Is this the first return to user mode of a task just made? It starts in ret_from_fork: none of the functions that its
// creator is in return for it.
inline bool is_first_return(const Event& event) {
  bool makes_task =
      event.number == SYS_clone || event.number == SYS_fork || event.number == SYS_vfork || event.number == SYS_clone3;
  return makes_task && event.result == 0;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// What just happened, as far as contexts show it to programs.
#pragma once

#include <string>

#include "emu/abi/pt_regs.h"
#include "emu/base/types.h"
#include "emu/ports/task.h"

namespace bpfemu {

struct Event {
  Task* task = nullptr;    // whose event it is; null for the clock of an idle CPU
  PtRegs* regs = nullptr;  // its user registers at the stop
  long number = -1;        // system call
  s64 result = 0;          // of the system call; the wait status at exit

  pid_t other = 0;             // fork: the child; exec: the old tid; signal: the target
  const char* text = nullptr;  // exec: the path; signal: the target's comm
  int signal = 0, error = 0, code = 0, outcome = 0;
  bool group = false;
};

}  // namespace bpfemu

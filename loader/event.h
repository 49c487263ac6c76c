// SPDX-License-Identifier: Apache-2.0
// What a wait status means to the tracer: one enum between waiting and acting, so that every stop is named once.
#pragma once

#include "loader/trace_os.h"

namespace bpfemu {

struct StopEvent {
  enum class Kind : u8 {
    kNone,
    kDead,       // reaped: `value` is its wait status
    kSeccomp,    // a traced call is about to enter the kernel
    kSyscall,    // entry or exit stop that we asked for
    kSignal,     // `value` is about to be delivered
    kGroupStop,  // the group stopped by signal `value`
    kTrap,       // PTRACE_EVENT_STOP: our own interrupt, a new thread's first stop, the end of a group stop
    kFork,       // fork, vfork or clone made a thread: its id is the event's message
    kVfork,
    kClone,
    kVforkDone,
    kExec,     // message: the id that the thread had before
    kExiting,  // message: the wait status to be
  };
  Kind kind = Kind::kNone;
  pid_t tid = 0;
  int value = 0;
};

StopEvent decode(Waited waited);

}  // namespace bpfemu

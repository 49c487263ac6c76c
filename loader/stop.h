// SPDX-License-Identifier: Apache-2.0
// Which kind of stop an event leaves its thread in. Called as soon as the status is known, before anybody acts on it.
#pragma once

#include "loader/task.h"

namespace bpfemu {

inline void note_stop(TracedTask& task, const StopEvent& event) {
  using At = TracedTask::At;
  switch (event.kind) {
    case StopEvent::Kind::kSeccomp: return task.stopped(At::kSeccomp);
    case StopEvent::Kind::kSyscall: return task.stopped(At::kSyscallExit);
    case StopEvent::Kind::kSignal: return task.stopped(At::kSignal);
    case StopEvent::Kind::kTrap:
    case StopEvent::Kind::kGroupStop: return task.stopped(At::kTrap);
    case StopEvent::Kind::kExec: return task.stopped(At::kExec);
    case StopEvent::Kind::kFork:
    case StopEvent::Kind::kVfork:
    case StopEvent::Kind::kClone:
    case StopEvent::Kind::kVforkDone: return task.stopped(At::kInside);
    case StopEvent::Kind::kExiting: return task.stopped(At::kExiting);
    case StopEvent::Kind::kDead:
    case StopEvent::Kind::kNone: return;
  }
}

}  // namespace bpfemu

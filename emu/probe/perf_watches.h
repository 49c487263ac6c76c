// SPDX-License-Identifier: Apache-2.0
// Breakpoint events: which threads' debug registers watch what (kernel: kernel/events/hw_breakpoint.c).
#pragma once

#include <sys/types.h>

#include <map>

#include "emu/base/result.h"
#include "emu/ports/watch.h"

namespace bpfemu {

class PerfEvent;
class Probes;
class Task;

class PerfWatches {
 public:
  explicit PerfWatches(Probes& probes) : probes_(probes) {}

  // One more for that task (-1: all) and CPU (-1: all): ENOSPC (kernel: __reserve_bp_slot).
  Result<void> check_room(pid_t pid, int cpu) const;
  // Which events count has changed, or a thread is new.
  void changed();
  // Nothing is watched any more in a thread: it is another program now, or gone.
  void forget(pid_t tid) { watched_.erase(tid); }
  // The thread did what one of its registers watches; `registers`: a bit for each.
  void hit(Task& task, u32 registers);

 private:
  Watches wanted(pid_t tid) const;

  Probes& probes_;
  std::map<pid_t, Watches> watched_;  // as the host was told; a thread without any is not in it
};

}  // namespace bpfemu

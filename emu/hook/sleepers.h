// SPDX-License-Identifier: Apache-2.0
// Who sleeps in a system call. A call that sleeps is told of when it is over; but whoever tells of anything that the
// scheduler did meanwhile first tells that those fell asleep who have, so that programs see things in the order in which
// they happened, each at its time.
#pragma once

#include <algorithm>
#include <unordered_map>

#include "emu/abi/pt_regs.h"
#include "emu/hook/scheduler.h"

namespace bpfemu {

class Sleepers {
 public:
  // The thread begins a call in which it may sleep, and somebody listens to the scheduler.
  void entered(const Occasion& call);
  // The call is over, or will not be: what is left is told.
  void left(Occasion& occasion);
  void forget(pid_t tid) { sleepers_.erase(tid); }
  // Tells of those that have fallen asleep `until` then, but for the occasion's own task.
  void tell(Occasion& occasion, u64 until = ~u64{0});
  // `time`, or just after what was told last.
  u64 in_order(u64 time) { return last_ = std::max(last_ + 1, time); }

 private:
  struct Sleeper {
    CpuUse before;
    PtRegs regs = {};
    long number = -1;
    u64 since = 0;  // when it fell asleep, if that was told
  };
  bool may_look(u64 now);

  std::unordered_map<pid_t, Sleeper> sleepers_;
  u64 look_again_ = 0;
  u64 last_ = 0;
};

}  // namespace bpfemu

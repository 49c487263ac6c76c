// SPDX-License-Identifier: Apache-2.0
// bpf_timer: who runs programs keeps the time, see TimerServices. Runtime code.
#include <time.h>

#include <linux/bpf.h>

#include "emu/runtime/helpers/call.h"

namespace bpfemu {

// Kernel: bpf_timer_init. Clocks that only a timerfd has are none of ours.
HELPER(help_timer_init) {
  if (r3 != CLOCK_REALTIME && r3 != CLOCK_MONOTONIC && r3 != CLOCK_BOOTTIME) return result(-EINVAL);
  const TimerServices* timers = run->env->timers;
  return result(timers ? timers->init(run->env->self, run, &map_at(r2), r1) : -EPERM);
}

HELPER(help_timer_set_callback) {
  const TimerServices* timers = run->env->timers;
  return result(timers ? timers->set_callback(run->env->self, run, r1, r2) : -EINVAL);
}

HELPER(help_timer_start) {
  const TimerServices* timers = run->env->timers;
  return result(timers && !r3 ? timers->start(run->env->self, run, r1, r2) : -EINVAL);
}

HELPER(help_timer_cancel) {
  const TimerServices* timers = run->env->timers;
  return result(timers ? timers->cancel(run->env->self, r1) : -EINVAL);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Scheduling as far as a tracer sees it. What the host's scheduler did while a thread was in a call that may sleep follows
// from the thread's times before and after: it was off its CPU if it was put on one again, asleep but for the time that
// it ran or waited for a CPU. It is told when the call is over; programs see the time at which it happened. Whoever
// is not a thread of the tree is the idle task of that CPU. That a thread is preempted in user mode is not seen.
#pragma once

#include <optional>

#include "emu/hook/occasion.h"

namespace bpfemu {

// /proc/TID/schedstat, at a time (CLOCK_MONOTONIC).
struct CpuUse {
  u64 time = 0;
  u64 run_ns = 0, delay_ns = 0;  // on a CPU, and waiting for one
  u64 slices = 0;                // how often it was put on one
  static std::optional<CpuUse> of(const Occasion& occasion);
};

class Scheduler {
 public:
  explicit Scheduler(Occasion& occasion) : occasion_(occasion) {}
  // Does anybody listen to it?
  static bool awaited(const Occasion& occasion);

  // The thread comes out of a call that began with `before`.
  void rested(const CpuUse& before);
  // It ends.
  void ended();
  // A child of it begins to run (kernel: wake_up_new_task).
  void began(pid_t child);

 private:
  enum class State : u32 { kRunning = 0, kSleeping = 1, kDead = 0x80 };
  struct Side {
    pid_t tid = 0;  // 0: the idle task
    State state = State::kRunning;
  };
  // One switch, at `time` (0: now), on the CPU of the task that is not idle.
  void pass_switch(Side from, Side to, u32 cpu, u64 time);
  void pass_wakeup(pid_t tid, u32 cpu, u64 time);
  TaskFacts facts_of(pid_t tid, u32 cpu) const;
  u64 task_struct(const Side& side, u32 cpu) const;
  Event of(pid_t tid, u32 cpu, u64 time) const;

  Occasion& occasion_;
};

}  // namespace bpfemu

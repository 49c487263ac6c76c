// SPDX-License-Identifier: Apache-2.0
// Scheduling as far as a tracer sees it. What the host's scheduler did while a thread was in a call that may sleep follows
// from the thread's times before and after: it was off its CPU if it was put on one again, asleep but for the time that
// it ran or waited for a CPU. It is told when the call is over, or when something else is told of that came later
// (sleepers.h); programs see the time at which it happened. Whoever is not a thread of the tree is the idle task of that
// CPU. That a thread is preempted in user mode is not seen.
#pragma once

#include <optional>

#include "emu/hook/occasion.h"

namespace bpfemu {

class Sleepers;

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

  // Does the thread sleep in a call that began with `before`, and since when?
  std::optional<u64> asleep_since(const CpuUse& before) const;
  // What became of it until the call was over.
  struct Rest {
    bool seen = false;    // it was off its CPU at all
    bool asleep = false;  // and not for others' sake
    u64 off = 0, woken = 0, back = 0;
  };
  std::optional<Rest> rest(const CpuUse& before) const;

  // The thread fell asleep; it woke and got a CPU `back`; it had to give it away to others meanwhile.
  void fell_asleep(u64 time);
  void woke(u64 time, u64 back);
  void waited(u64 time, u64 back);
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
  // Now, when those who fell asleep before are told of.
  u64 now() const;
  TaskFacts facts_of(pid_t tid, u32 cpu) const;
  u64 task_struct(const Side& side, u32 cpu) const;
  Event of(pid_t tid, u32 cpu, u64 time) const;

  Occasion& occasion_;
};

}  // namespace bpfemu

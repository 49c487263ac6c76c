// SPDX-License-Identifier: Apache-2.0
// Keeps the tracer and the thread that stops most on one CPU: a stop within one CPU costs a third of one across two.
// The tracer goes where that thread is. One that alone makes stops is held there too for as long as it does, since
// the kernel would wake it on any CPU that idles; of its own mask the program sees nothing else.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <array>
#include <functional>
#include <vector>

#include "emu/base/types.h"
#include "loader/cpu_pin.h"

namespace bpfemu {

class TracedTask;
class TaskTable;

class CpuFollower {
 public:
  CpuFollower();

  // How often, and for as long as it says true, look() is to be called. Without that nobody is pinned.
  static constexpr u64 kLookEvery = 25'000'000;
  std::function<void()> start_looking;
  bool look();

  // A thread stopped.
  void stopped(TracedTask& task);
  // At its first stop: the mask that a thread got from one that was pinned is not its own.
  static void started(TracedTask& task);
  // The thread's exec: its id is that of the thread group now.
  void executed(pid_t tid, pid_t old_tid);
  void gone(pid_t tid);
  // What a thread may have been forked by whose end we saw first.
  std::shared_ptr<const OwnCpus> last_pin() const { return pin_.own(); }
  // Whoever is pinned must not be.
  void let_go() { pin_.release(); }
  // The thread's sched_getaffinity or sched_setaffinity is about to run.
  void asks(TracedTask& task, long number, const std::array<u64, 6>& args, TaskTable& tasks);

 private:
  // Looking costs as much as some stops: often while the thread moves, such as at its start, else seldom.
  static constexpr u32 kFirstWindow = 8, kLongestWindow = 256;
  // Whoever made so many stops one after the other is alone with that; fewer are enough where threads seldom change, such
  // as a shell and the programs that it waits for: at most kFewChanges among kHistory stops.
  static constexpr u32 kAlone = 32, kAloneAgain = 4;
  static constexpr u32 kHistory = 64, kFewChanges = 8;
  // A pin that is used less is not worth the CPU that the thread cannot go to.
  static constexpr u32 kFewStops = 32;
  // So many looks, then the scheduler may say again where there is room.
  static constexpr u32 kLooksPinned = 10;

  // False: we are where the busiest thread is, or cannot go there.
  bool follow();
  bool pin(TracedTask& task);
  void remember(pid_t tid);

  cpu_set_t all_ = {};
  int pinned_ = -1;
  u32 window_ = kFirstWindow;
  pid_t candidate_ = 0;
  u32 stops_ = 0, votes_ = 0;

  CpuPin pin_;
  bool looking_ = false;
  u32 looks_ = 0, stops_pinned_ = 0;
  pid_t last_ = 0;
  u32 run_ = 0;                // stops of `last_` in a row
  u32 alone_ = kAlone;
  u32 history_ = 0, changes_ = 0;
  std::vector<pid_t> asking_;  // threads in a call that sees masks
};

}  // namespace bpfemu

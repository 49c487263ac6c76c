// SPDX-License-Identifier: Apache-2.0
// The threads that a perf event counts in, and what they have used while it was enabled (kernel: the event's context,
// and with inherit those of its children).
#pragma once

#include <functional>
#include <map>
#include <set>

#include "emu/ports/host.h"

namespace bpfemu {

class PerfTasks {
 public:
  // `pid` -1: every thread. `cpu` -1: wherever they run.
  PerfTasks(Host& host, pid_t pid, int cpu);

  bool has(pid_t tid) const { return everyone_ || tids_.contains(tid); }
  // All that it counted in are gone (kernel: PERF_EVENT_STATE_EXIT).
  bool gone() const { return !everyone_ && tids_.empty(); }
  bool everyone() const { return everyone_; }
  const std::set<pid_t>& tids() const { return tids_; }

  // What was used between start() and stop(), as of the last update() or stop().
  const TaskUsage& used() const { return used_; }
  // `visit` hears of what each thread used since it was looked at last.
  using Visit = std::function<void(pid_t tid, const TaskUsage& since)>;
  void start();
  void update(const Visit& visit = {});
  void stop();

  void forked(pid_t child);
  void executed(pid_t old_tid, pid_t tid);
  void exiting(pid_t tid, const Visit& visit = {});

 private:
  void look_at(pid_t tid, const Visit& visit);

  Host& host_;
  bool everyone_;
  int cpu_;
  bool started_ = false;
  std::set<pid_t> tids_;
  std::map<pid_t, TaskUsage> seen_;  // what each thread had used when it was looked at last
  TaskUsage used_;
};

}  // namespace bpfemu

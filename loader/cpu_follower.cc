// SPDX-License-Identifier: Apache-2.0
#include "loader/cpu_follower.h"

#include <sys/syscall.h>

#include <algorithm>

#include "loader/proc_files.h"
#include "loader/task.h"
#include "loader/task_table.h"

namespace bpfemu {

namespace {

// The one CPU of the mask that sched_setaffinity is given, -1: several, or none.
int sole_cpu(TracedTask& task, const std::array<u64, 6>& args) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (!task.read(args[2], &mask, std::min<u64>(args[1], sizeof mask)) || CPU_COUNT(&mask) != 1) return -1;
  int cpu = 0;
  while (!CPU_ISSET(cpu, &mask)) ++cpu;
  return cpu;
}

// A program that holds the thread to the very CPU that we held it to means it.
void own_pin(TracedTask& task, int cpu) {
  if (task.own_cpus && task.own_cpus->pinned == cpu) task.own_cpus.reset();
}

}  // namespace

CpuFollower::CpuFollower() {
  ::sched_getaffinity(0, sizeof all_, &all_);
}

// A majority vote over a window of stops finds the busiest thread without counting each.
void CpuFollower::stopped(TracedTask& task) {
  const pid_t tid = task.tid();
  remember(tid);
  if (!asking_.empty()) std::erase(asking_, tid);
  if (tid == pin_.tid()) {
    ++stops_pinned_;
    return;
  }
  pin_.release();
  if (run_ % alone_ == 0 && pin(task)) return;  // it is still shown where it stopped: do not follow it there
  if (tid == candidate_) {
    ++votes_;
  } else if (votes_ == 0) {
    candidate_ = tid;
    votes_ = 1;
  } else {
    --votes_;
  }
  if (++stops_ < window_) return;
  window_ = follow() ? kFirstWindow : std::min(2 * window_, kLongestWindow);
  stops_ = votes_ = 0;
}

void CpuFollower::remember(pid_t tid) {
  run_ = tid == last_ ? run_ + 1 : 1;
  changes_ += tid != last_;
  last_ = tid;
  if (++history_ < kHistory) return;
  alone_ = changes_ <= kFewChanges ? kAloneAgain : kAlone;
  history_ = changes_ = 0;
}

bool CpuFollower::follow() {
  const Result<u32> now = read_cpu(candidate_);
  const int cpu = now ? static_cast<int>(*now) : -1;
  if (cpu < 0 || cpu == pinned_ || !CPU_ISSET(cpu, &all_)) return false;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (::sched_setaffinity(0, sizeof one, &one) != 0) return false;
  pinned_ = cpu;
  return true;
}

// A 32-bit program's look at masks would not stop, nor does a read of /proc/PID/status that is open.
bool CpuFollower::pin(TracedTask& task) {
  if (pinned_ < 0 || !start_looking || !asking_.empty() || task.shows_cpus || task.memory().compat) return false;
  const std::shared_ptr<const OwnCpus> own = pin_.pin(task.tid(), pinned_);
  if (!own) return false;
  task.own_cpus = own;
  stops_pinned_ = looks_ = 0;
  if (!std::exchange(looking_, true)) start_looking();
  return true;
}

bool CpuFollower::look() {
  const bool idle = std::exchange(stops_pinned_, 0) < kFewStops;
  if (pin_.tid() == 0 || idle || ++looks_ == kLooksPinned) {
    looking_ = pin_.tid() != 0 && !idle;
    pin_.release();
    run_ = history_ = changes_ = 0;
    alone_ = kAlone;
    stops_ = votes_ = 0;
    window_ = kFirstWindow;
  }
  return looking_;
}

void CpuFollower::started(TracedTask& task) {
  if (task.own_cpus) CpuPin::restore(task.tid(), *std::exchange(task.own_cpus, nullptr));
}

void CpuFollower::executed(pid_t tid, pid_t old_tid) {
  if (pin_.tid() == old_tid) {
    pin_.renamed(tid);
  } else if (pin_.tid() == tid) {
    pin_.forget();  // the leader that was
  }
}

void CpuFollower::gone(pid_t tid) {
  if (pin_.tid() == tid) pin_.forget();
  std::erase(asking_, tid);
}

// No pin comes before the call's exit stop.
void CpuFollower::asks(TracedTask& task, long number, const std::array<u64, 6>& args, TaskTable& tasks) {
  pin_.release();
  asking_.push_back(task.tid());
  if (number != SYS_sched_setaffinity) return;
  const int cpu = sole_cpu(task, args);
  const pid_t target = static_cast<pid_t>(args[0]);
  if (TracedTask* const known = target ? tasks.find(target) : &task) return own_pin(*known, cpu);
  for (pid_t tid : tasks.threads()) own_pin(*tasks.find(tid), cpu);  // an id of another namespace
}

}  // namespace bpfemu

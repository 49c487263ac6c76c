// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/perf_tasks.h"

namespace bpfemu {

PerfTasks::PerfTasks(Host& host, pid_t pid, int cpu) : host_(host), everyone_(pid == -1), cpu_(cpu) {
  if (!everyone_) tids_.insert(pid);
}

void PerfTasks::start() {
  started_ = true;
  seen_.clear();
  auto remember = [&](pid_t tid) {
    if (auto usage = host_.usage(tid)) seen_[tid] = *usage;
  };
  if (everyone_) {
    for (pid_t tid : host_.threads()) remember(tid);
  } else {
    for (pid_t tid : tids_) remember(tid);
  }
}

// What a thread used counts for the CPU that it is on when it is looked at.
void PerfTasks::look_at(pid_t tid, const Visit& visit) {
  auto now = host_.usage(tid);
  if (!now) return;
  TaskUsage& before = seen_[tid];
  TaskUsage since = now->since(before);
  before = *now;
  if (cpu_ >= 0 && now->cpu != static_cast<u32>(cpu_)) return;
  used_.add(since);
  if (visit) visit(tid, since);
}

void PerfTasks::update(const Visit& visit) {
  if (!started_) return;
  if (everyone_) {
    for (pid_t tid : host_.threads()) look_at(tid, visit);
  } else {
    for (pid_t tid : std::set<pid_t>(tids_)) look_at(tid, visit);
  }
}

void PerfTasks::stop() {
  update();
  started_ = false;
}

void PerfTasks::forked(pid_t child) {
  if (!everyone_) tids_.insert(child);
  if (started_) seen_[child] = {};
}

void PerfTasks::executed(pid_t old_tid, pid_t tid) {
  if (old_tid == tid || !tids_.erase(old_tid)) return;
  tids_.insert(tid);
  seen_[tid] = seen_[old_tid];
  seen_.erase(old_tid);
}

void PerfTasks::exiting(pid_t tid, const Visit& visit) {
  if (!has(tid)) return;
  if (started_) look_at(tid, visit);
  seen_.erase(tid);
  tids_.erase(tid);
}

}  // namespace bpfemu

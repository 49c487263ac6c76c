// SPDX-License-Identifier: Apache-2.0
#include "loader/cpu_follower.h"

#include "loader/proc_files.h"

namespace bpfemu {

CpuFollower::CpuFollower() {
  ::sched_getaffinity(0, sizeof all_, &all_);
}

// A majority vote over a window of stops finds the busiest thread without counting each.
void CpuFollower::stopped(pid_t tid) {
  if (tid == candidate_) {
    ++votes_;
  } else if (votes_ == 0) {
    candidate_ = tid;
    votes_ = 1;
  } else {
    --votes_;
  }
  if (++stops_ < kWindow) return;
  follow();
  stops_ = votes_ = 0;
}

void CpuFollower::follow() {
  const Result<TaskFacts> facts = read_facts(candidate_);
  const int cpu = facts ? static_cast<int>(facts->cpu) : -1;
  if (cpu < 0 || cpu == pinned_ || !CPU_ISSET(cpu, &all_)) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (::sched_setaffinity(0, sizeof one, &one) == 0) pinned_ = cpu;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "loader/cpu_follower.h"

#include <algorithm>

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
  if (++stops_ < window_) return;
  window_ = follow() ? kFirstWindow : std::min(2 * window_, kLongestWindow);
  stops_ = votes_ = 0;
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

}  // namespace bpfemu

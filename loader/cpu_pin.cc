// SPDX-License-Identifier: Apache-2.0
#include "loader/cpu_pin.h"

#include <cstring>

namespace bpfemu {

namespace {

cpu_set_t only(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  return one;
}

bool get(pid_t tid, cpu_set_t& mask) {
  CPU_ZERO(&mask);
  return ::sched_getaffinity(tid, sizeof mask, &mask) == 0;
}

bool set(pid_t tid, const cpu_set_t& mask) {
  return ::sched_setaffinity(tid, sizeof mask, &mask) == 0;
}

// The kernel cuts a mask to the cpuset. A thread that has all of that may have what is added to it, too.
bool has_whole_cpuset(pid_t tid, const cpu_set_t& mask) {
  cpu_set_t every, reached;
  std::memset(&every, 0xff, sizeof every);
  return set(tid, every) && get(tid, reached) && CPU_EQUAL(&reached, &mask);
}

}  // namespace

std::shared_ptr<const OwnCpus> CpuPin::pin(pid_t tid, int cpu) {
  release();
  OwnCpus own{{}, cpu};
  if (!get(tid, own.mask) || !CPU_ISSET(cpu, &own.mask) || CPU_COUNT(&own.mask) < 2) return nullptr;
  const cpu_set_t before = own.mask;
  if (has_whole_cpuset(tid, before)) std::memset(&own.mask, 0xff, sizeof own.mask);
  if (!set(tid, only(cpu))) {
    (void)set(tid, before);
    return nullptr;
  }
  tid_ = tid;
  own_ = std::make_shared<const OwnCpus>(own);
  return own_;
}

void CpuPin::release() {
  if (tid_ == 0) return;
  restore(tid_, *own_);
  tid_ = 0;
}

void CpuPin::restore(pid_t tid, const OwnCpus& own) {
  cpu_set_t now;
  const cpu_set_t pinned = only(own.pinned);
  if (get(tid, now) && CPU_EQUAL(&now, &pinned)) (void)set(tid, own.mask);
}

}  // namespace bpfemu

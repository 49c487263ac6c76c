// SPDX-License-Identifier: Apache-2.0
// Threads to be pinned: processes that do nothing, and their masks.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bpfemu {

inline cpu_set_t mask_of(pid_t tid) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  ::sched_getaffinity(tid, sizeof mask, &mask);
  return mask;
}

inline bool same(const cpu_set_t& a, const cpu_set_t& b) {
  return CPU_EQUAL(&a, &b);
}

inline int first_of(const cpu_set_t& mask) {
  int cpu = 0;
  while (!CPU_ISSET(cpu, &mask)) ++cpu;
  return cpu;
}

inline cpu_set_t only(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  return one;
}

// A process that does nothing.
struct Idle {
  pid_t pid = ::fork();
  Idle() {
    if (pid != 0) return;
    ::alarm(10);
    for (;;) ::pause();
  }
  ~Idle() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Keeps the tracer on the CPU of the thread that stops most: a stop within one CPU costs a third of one across two.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include "emu/base/types.h"

namespace bpfemu {

class CpuFollower {
 public:
  CpuFollower();
  // A thread stopped.
  void stopped(pid_t tid);

 private:
  static constexpr u32 kWindow = 256;

  void follow();

  cpu_set_t all_ = {};
  int pinned_ = -1;
  pid_t candidate_ = 0;
  u32 stops_ = 0, votes_ = 0;
};

}  // namespace bpfemu

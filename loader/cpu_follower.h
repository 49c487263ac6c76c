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
  // Looking costs as much as some stops: often while the thread moves, such as at its start, else seldom.
  static constexpr u32 kFirstWindow = 8, kLongestWindow = 256;

  // False: we are where the busiest thread is, or cannot go there.
  bool follow();

  cpu_set_t all_ = {};
  int pinned_ = -1;
  u32 window_ = kFirstWindow;
  pid_t candidate_ = 0;
  u32 stops_ = 0, votes_ = 0;
};

}  // namespace bpfemu

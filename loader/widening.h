// SPDX-License-Identifier: Apache-2.0
// Which calls stop, now that probes or carriers want more than the base filter gives: a further filter is installed by
// a remote call, once per thread group. Filters only ever get stricter; what is no longer wanted is resumed at once.
#pragma once

#include "loader/task_table.h"

namespace bpfemu {

class Widening {
 public:
  Widening(TaskEnv& env, TaskTable& tasks) : env_(env), tasks_(tasks) {}

  // Every thread stops at these calls when this returns: those that run are interrupted for it.
  void want(const SyscallSet& calls);
  // The same for one process.
  void want(Process& process, const SyscallSet& calls);
  // Threads that sleep in one of these calls, of which nobody wanted to see the exit before: they enter it once more,
  // silently.
  void revisit(const SyscallSet& calls);
  // At a stop of the thread where it can make calls: installs what it lacks.
  void ensure(TracedTask& task);
  bool lacks(const TracedTask& task) const;

 private:
  bool settle(const std::shared_ptr<Process>& process, TracedTask* interrupted);
  TracedTask* interrupt_one(Process& process);
  static bool interrupt_asleep(TracedTask& task);
  bool collect(TracedTask& task, u64 deadline_ns);

  TaskEnv& env_;
  TaskTable& tasks_;
  SyscallSet wanted_;
};

}  // namespace bpfemu

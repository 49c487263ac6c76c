// SPDX-License-Identifier: Apache-2.0
// Which hooks are passed when a task forks, executes a program, ends or is signalled.
#pragma once

#include <optional>
#include <string>

#include "emu/hook/occasion.h"

namespace bpfemu {

void pass_fork(Occasion& occasion, pid_t child);
// `filename` as EventSink::task_executed has it.
// `before`: what the thread was when it called, if that was noted.
void pass_exec(Occasion& occasion, pid_t old_tid, const std::string& filename, const std::optional<TaskFacts>& before);
void pass_exit(Occasion& occasion);
// The last user of a thread's task_struct is gone (kernel: __put_task_struct).
void pass_release(Occasion& occasion, u64 task_struct);
// A process comes into a cgroup, whose struct `cgroup()` gives (kernel: cgroup_attach_task).
void pass_attaching(Occasion& occasion, const std::function<u64()>& cgroup, pid_t leader);
void pass_signal(Occasion& occasion, const GeneratedSignal& signal);
void pass_delivery(Occasion& occasion, const DeliveredSignal& signal);

}  // namespace bpfemu

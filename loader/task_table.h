// SPDX-License-Identifier: Apache-2.0
// All traced threads. Threads of one process share a Process, which goes with its last thread.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "loader/task.h"

namespace bpfemu {

class TaskTable {
 public:
  explicit TaskTable(TaskEnv& env) : env_(env) {}

  TracedTask* find(pid_t tid) const;
  bool empty() const { return tasks_.empty(); }
  size_t size() const { return tasks_.size(); }
  std::vector<pid_t> thread_groups() const;
  std::vector<pid_t> threads() const;
  // Every process once.
  std::vector<std::shared_ptr<Process>> processes() const;

  TracedTask& add_first(pid_t pid);
  TracedTask& add_thread(TracedTask& creator, pid_t tid);
  TracedTask& add_process(TracedTask& creator, pid_t pid, bool shares_memory);
  void remove(pid_t tid);
  // Its children have another parent now.
  void parent_died(pid_t tgid);
  // `task` (the id of the thread group) has become the thread that was `old_tid`; its siblings are no more. Gives the
  // ids of the threads that vanished.
  std::vector<pid_t> keep_only(TracedTask& task, pid_t old_tid);
  std::shared_ptr<Memory> new_memory();

 private:
  TracedTask& add(pid_t tid, std::shared_ptr<Process> process);

  TaskEnv& env_;
  std::unordered_map<pid_t, std::unique_ptr<TracedTask>> tasks_;
  u64 last_memory_ = 0;
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Which threads task, task_file and task_vma walk, and in which order (kernel: task_seq_get_next): by their numbers in
// the reader's pid namespace, all of them, those of a process, or one. Outside of the supervised tree there are none.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "emu/iter/world.h"

namespace bpfemu {

enum class TaskScope : u8 { kAll, kThread, kProcess };  // kernel: enum bpf_iter_task_type

class TaskWalk {
 public:
  // `number`: of the thread or process, as `reader` has it.
  TaskWalk(IterWorld& world, Task& reader, TaskScope scope, u32 number);

  // The thread where the last read ended, or what comes instead of it; none: there is no more. With `owners_of_files`,
  // threads that share their open files with their process' leader are left out.
  std::optional<TaskFacts> start(bool owners_of_files);
  std::optional<TaskFacts> next(bool owners_of_files);
  TaskScope scope() const { return scope_; }
  u64 number() const { return at_; }
  // The thread is not to be found again.
  void leave() { ++at_; }
  // Its task_struct, in the state that the thread is in; `current` is the one that reads. 0: no memory.
  u64 task_struct(const TaskFacts& facts, pid_t current) const;

 private:
  struct Thread {
    u64 number;  // that the reader knows it by
    pid_t tid;
  };
  using Threads = std::vector<Thread>;
  void list();
  std::optional<TaskFacts> find(bool owners_of_files);
  std::optional<TaskFacts> find_any(bool owners_of_files);
  std::optional<TaskFacts> find_in_process(bool owners_of_files);
  std::optional<TaskFacts> facts_of(u64 number) const;

  IterWorld& world_;
  bool nested_;        // who opened it is in a pid namespace of its own, and sees the threads of that one
  u64 pid_namespace_;  // which
  TaskScope scope_;
  u32 wanted_;
  Threads threads_;   // as they were when the read began, in the order of the walk
  u64 at_ = 0;        // number of the thread that was found, or one more; 0: not begun (kernel: tid)
  u64 visiting_ = 0;  // of a process: of the thread that was reached last (kernel: pid_visiting)
};

}  // namespace bpfemu

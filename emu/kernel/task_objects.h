// SPDX-License-Identifier: Apache-2.0
// Traced threads as the kernel's own task_struct and what hangs on it. Made when somebody first asks for a thread's.
// Members that cost system calls at each event (open files, folders, times) are filled in from the moment on that a loaded
// program names one of them.
#pragma once

#include <linux/bpf.h>

#include <bitset>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>

#include "emu/abi/pt_regs.h"
#include "emu/bpf/cgroup.h"
#include "emu/kernel/file_objects.h"
#include "emu/kernel/object_space.h"
#include "emu/ports/host.h"

namespace bpfemu {

class TaskObjects {
 public:
  using FactsOf = std::function<Result<TaskFacts>(pid_t tid)>;
  using RunnableOn = std::function<RunQueue(u32 cpu)>;
  TaskObjects(ObjectSpace& space, Mounts& mounts, FileObjects& files, FactsOf facts_of, RunnableOn runnable_on)
      : space_(space),
        mounts_(mounts),
        files_(files),
        facts_of_(std::move(facts_of)),
        runnable_on_(std::move(runnable_on)) {}

  // The address of the thread's task_struct, brought up to date with `facts`; 0: no BTF or no memory.
  u64 task_struct(const TaskFacts& facts);
  // What a program that was loaded may read of task_struct: it has the member's offset in an instruction.
  void named_by(std::span<const bpf_insn> program);
  // The thread is gone or has another program now. In the latter case it keeps its task_struct.
  void forget(pid_t tid);
  // Whose task_struct is at `address`, and where its mm_struct is, 0 without memory. Null: none is there.
  struct Known {
    pid_t tid = 0, tgid = 0;
    u64 mm = 0;
    bool ended = false;  // nobody can find the thread any more
  };
  std::optional<Known> task_at(u64 address);
  // struct pt_regs of the task whose task_struct is at `address`: its own address, 0: no memory.
  u64 show_registers(u64 address, const PtRegs& regs);
  size_t count() const { return blocks_.size(); }
  // The cgroup that a thread is in; unset: all are in the root.
  std::function<std::shared_ptr<Cgroup>(pid_t tid)> cgroup_of;

 private:
  // Groups of members that are asked for at each event, once they are named.
  enum class Extra : u8 { kFiles, kFolders, kTimes, kRunQueue, kCount };
  // The objects of one thread.
  struct Block {
    KernelObject task, mm, signal, cred, nsproxy, pid;
    u64 start_boottime_ns = 0;
    u32 programs = 0;   // that it has run
    bool ended = false;  // forgotten: the thread or its program
    u64 cgroup = 0;     // the id of the one that cgroups leads to
    pid_t parent = -1;  // the tgid of the one that real_parent leads to
  };
  struct Member {
    const char* path;
    Extra extra;
  };
  static const Member kMembers[];

  Block* block_of(const TaskFacts& facts);
  void drop(std::map<pid_t, Block>::iterator at);
  void fill(Block& block, const TaskFacts& facts);
  void fill_namespaces(Block& block, const TaskFacts& facts);
  void fill_memory(Block& block, const TaskFacts& facts);
  void refresh(Block& block, const TaskFacts& facts);
  void link(Block& block, const TaskFacts& facts);
  void show_cgroup(Block& block, const TaskFacts& facts);
  Block* relative(pid_t tgid);
  void show_files(Block& block, const TaskFacts& facts);
  void show_folders(Block& block, const TaskFacts& facts);
  void show_times(Block& block, const TaskFacts& facts);
  void show_run_queue(Block& block, const TaskFacts& facts);

  ObjectSpace& space_;
  Mounts& mounts_;
  FileObjects& files_;
  FactsOf facts_of_;
  RunnableOn runnable_on_;
  std::map<pid_t, Block> blocks_;
  std::deque<pid_t> ended_;  // the first to be let go in front
  std::bitset<static_cast<size_t>(Extra::kCount)> named_;
  u32 depth_ = 0;  // of parents of parents
};

}  // namespace bpfemu

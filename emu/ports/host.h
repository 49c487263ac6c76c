// SPDX-License-Identifier: Apache-2.0
// The rest of the outside: which system calls must stop, clocks and timers, the task table.
#pragma once

#include <bitset>
#include <functional>
#include <vector>

#include "emu/ports/task.h"
#include "emu/ports/watch.h"

namespace bpfemu {

inline constexpr size_t kSyscallLimit = 512;
using SyscallSet = std::bitset<kSyscallLimit>;
// In a set: read() of at most a page, which is what counters give; larger ones read files, and are many. And read() and
// write() of at most 1024 bytes on descriptors above 2.
inline constexpr size_t kSmallRead = kSyscallLimit - 1, kBriefRead = kSyscallLimit - 2, kBriefWrite = kSyscallLimit - 3;
// And calls whose numbers have no place of their own, which no kernel has.
inline constexpr size_t kUnknownCalls = kSyscallLimit - 4;
inline constexpr size_t place_of_call(long number) {
  return number >= 0 && number < static_cast<long>(kUnknownCalls) ? static_cast<size_t>(number) : kUnknownCalls;
}

// Facts about a process or thread that helpers and tracefs show; read from /proc by the loader.
struct TaskFacts {
  pid_t tid = 0, tgid = 0, parent_tid = 0, parent_tgid = 0;
  pid_t local_tid = 0, local_tgid = 0;  // as its own pid namespace has them
  u64 pid_namespace = 0;    // inode of that
  u32 uid = 0, gid = 0, euid = 0;  // as seen from the first supervised process (struct Root)
  u64 capabilities = 0;     // effective ones, over what the first process has a say in
  u64 local_capabilities = 0;  // those that the host gives it, in whatever user namespace it is
  u64 start_time_ns = 0;    // CLOCK_MONOTONIC at creation of the thread
  u64 start_boottime_ns = 0;
  char comm[16] = {};
  u32 cpu = 0;
  u32 priority = 120;
  int exit_code = 0;        // wait status, set at exit
};

// Threads that are ready on one CPU (kernel: cfs_rq.nr_running, idle_nr_running).
struct RunQueue {
  u32 all = 0;
  u32 idle = 0;  // with SCHED_IDLE
};

// What a thread has used since it began.
struct TaskUsage {
  u64 run_ns = 0;  // on a CPU
  u64 minor_faults = 0, major_faults = 0, switches = 0, migrations = 0;
  u32 cpu = 0;     // where it runs, or ran last

  TaskUsage since(const TaskUsage& before) const {
    return {run_ns - before.run_ns,     minor_faults - before.minor_faults, major_faults - before.major_faults,
            switches - before.switches, migrations - before.migrations,     cpu};
  }
  void add(const TaskUsage& more) {
    run_ns += more.run_ns;
    minor_faults += more.minor_faults;
    major_faults += more.major_faults;
    switches += more.switches;
    migrations += more.migrations;
  }
};

class Host {
 public:
  virtual ~Host() = default;

  // What probes need: every supervised thread stops at entry (exit) of these calls from now on. A larger set than the
  // last escalates filters; a smaller one only makes the loader resume at once what no longer matters.
  virtual void want_syscalls(const SyscallSet& entry, const SyscallSet& exit) = 0;
  // The same, apart from probes and for good.
  virtual void want_everywhere(const SyscallSet& /*calls*/) {}
  // The same for the calling thread's process alone, and for what it forks later: the poll family once it holds a
  // pollable carrier, writes once it opened a synthetic file for writing (TraceWhen::kRings, kWriters).
  virtual void want_in_process(Task& /*task*/, const SyscallSet& /*calls*/) {}
  // EventSink::signal_generated is called from now on, or no longer.
  virtual void want_signals(bool /*on*/) {}

  virtual u64 clock(int clock_id) = 0;  // CLOCK_MONOTONIC, CLOCK_BOOTTIME, ... in ns
  // Calls back in the supervisor's loop every `period_ns` until cancelled.
  using TimerId = u64;
  virtual TimerId add_timer(u64 period_ns, std::function<void()> fire) = 0;
  virtual void cancel_timer(TimerId id) = 0;

  virtual Task* find_task(pid_t tid) = 0;             // nullptr when not supervised
  // The one that the caller means by `tid`, as its own pid namespace has it (kernel: find_task_by_vpid).
  virtual Task* find_local(Task& /*caller*/, pid_t tid) { return find_task(tid); }
  virtual Result<TaskFacts> facts(pid_t tid) = 0;     // ESRCH
  // The CPU that the stopped thread last ran on; asked at every event of a program that shows it, so make it cheap.
  virtual u32 cpu_of(Task& task) {
    auto found = facts(task.tid());
    return found ? found->cpu : 0;
  }
  // For whatever may take long, to be called as often as it likes: when it has worked for a slice, others go on, and
  // anything of the model may have changed meanwhile. True: a signal waits for the calling thread, or it is gone; the call
  // ends with EINTR or EAGAIN.
  virtual bool pause() { return false; }
  // The same for what no signal ends, done for `task` (null: for nobody). True: the thread is gone, nobody waits for the
  // result.
  virtual bool breathe(const Task* /*task*/) { return false; }
  virtual std::vector<pid_t> thread_groups() = 0;     // every supervised process

  // For counting and sampling; a host without them has nothing to count.
  virtual std::vector<pid_t> threads() { return {}; }  // every supervised thread
  virtual Result<TaskUsage> usage(pid_t /*tid*/) { return fail(ESRCH); }
  // The threads that are on a CPU at this instant; `cpu` -1: on any.
  virtual std::vector<pid_t> running(int /*cpu*/) { return {}; }
  // The tree's threads that run there or wait for that.
  virtual RunQueue runnable(u32 /*cpu*/) { return {}; }
  // A file that shows the thread's CPU mask is about to be opened, and may be read whenever its reader likes: from now on
  // the mask is the program's.
  virtual void show_cpus(pid_t /*tid*/) {}
  // What the thread's debug registers watch from its next stop on, until it runs another program. `refused`: they do not.
  virtual void watch(pid_t /*tid*/, const Watches& /*watches*/, std::function<void()> /*refused*/) {}
  // Calls back with the thread stopped where it is, as soon as it can be; never, when it ends before that.
  virtual void at_stop(pid_t /*tid*/, std::function<void(Task&)> /*call*/) {}
};

}  // namespace bpfemu

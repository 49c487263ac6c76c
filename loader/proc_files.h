// SPDX-License-Identifier: Apache-2.0
// What the loader reads of a thread in /proc. ESRCH: it is gone.
#pragma once

#include <string>

#include "emu/base/proc_files.h"
#include "emu/ports/host.h"

namespace bpfemu {

// The inode of the thread's namespace of a kind ("user", "pid"). Never 0; the same for all whose may not be seen.
u64 namespace_of(pid_t tid, const char* kind);

// TaskFacts from stat and status; start times have the resolution of a clock tick.
Result<TaskFacts> read_facts(pid_t tid);

// /proc/TID/status, as far as signals go.
struct SignalFacts {
  pid_t tgid = 0, parent_tgid = 0;
  char state = 0;  // as read_state
  u64 thread_pending = 0, shared_pending = 0, blocked = 0, ignored = 0, caught = 0;
  u64 pending() const { return thread_pending | shared_pending; }
};
Result<SignalFacts> read_signal_facts(pid_t tid);

// Whom the end of a process is told, and by which signal.
struct ChildFacts {
  pid_t parent = 0;
  int exit_signal = 0;
};
Result<ChildFacts> read_child_facts(pid_t tgid);
// The thread's name, empty when it is gone.
std::string read_comm(pid_t tid);
// The process that the thread's pidfd `fd` stands for.
Result<pid_t> read_pidfd(pid_t tid, int fd);
// Does the process' POSIX timer signal one thread (SIGEV_THREAD_ID)?
bool timer_wants_thread(pid_t tgid, int timer);

// The CPU that the thread runs on, or ran on last.
Result<u32> read_cpu(pid_t tid);
// What the thread has used since it began.
Result<TaskUsage> read_usage(pid_t tid);
struct RunState {
  char letter;  // as read_state()
  u32 cpu;      // as read_cpu()
  u32 policy;   // SCHED_*
};
Result<RunState> read_run_state(pid_t tid);
// The scheduler's letter for the thread: 'R', 'S', 'D', 't', ...
Result<char> read_state(pid_t tid);
// Gone, or nothing is left but its status. Who cannot be looked at for want of descriptors or memory is taken to live.
bool is_dead(pid_t tid);
// Where the thread, which is in a system call or asleep, will go on; EBUSY: it runs.
Result<u64> read_resume_address(pid_t tid);
// The call that the thread sleeps in: ENODATA when it runs or sleeps elsewhere.
Result<long> read_sleeping_call(pid_t tid);
// Nanoseconds since the thread was last seen running, 0 when unknown.
u64 read_asleep_ns(pid_t tid);

}  // namespace bpfemu

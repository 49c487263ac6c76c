// SPDX-License-Identifier: Apache-2.0
#include "loader/loader_host.h"

#include <time.h>

#include "loader/proc_files.h"

namespace bpfemu {

void LoaderHost::want_syscalls(const SyscallSet& entry, const SyscallSet& exit) {
  tracer_->report(entry, exit);
  widening_.want(entry | exit);
}

void LoaderHost::want_in_process(Task& task, const SyscallSet& calls) {
  if (TracedTask* traced = tasks_.find(task.tid())) widening_.want(traced->process(), calls);
}

void LoaderHost::want_signals(bool on) {
  tracer_->report_signals(on);
  if (on) widening_.want(Tracer::signal_calls());
}

u64 LoaderHost::clock(int clock_id) {
  timespec t;
  if (::clock_gettime(clock_id, &t) != 0) return 0;
  return t.tv_sec * u64{1'000'000'000} + t.tv_nsec;
}

Host::TimerId LoaderHost::add_timer(u64 period_ns, std::function<void()> fire) {
  return waker_.add_timer(period_ns, period_ns, std::move(fire));
}

// Read once; exec, prctl(PR_SET_NAME) and the set*id family make them stale.
Result<TaskFacts> LoaderHost::facts(pid_t tid) {
  TracedTask* const task = tasks_.find(tid);
  if (!task) return fail(ESRCH);
  if (!task->facts_fresh) {
    TaskFacts fresh = TRY(read_facts(tid));
    fresh.exit_code = task->facts.exit_code;
    if (task->born_ns != 0) {
      fresh.start_time_ns = task->born_ns;
      fresh.start_boottime_ns = task->born_ns + (clock(CLOCK_BOOTTIME) - clock(CLOCK_MONOTONIC));
    }
    task->facts = fresh;
    task->facts_fresh = true;
  }
  return task->facts;
}

u32 LoaderHost::cpu_of(Task& task) {
  TracedTask* const traced = tasks_.find(task.tid());
  if (!traced) return 0;
  if (const Result<u32> cpu = traced->rseq_cpu()) return *cpu;
  const Result<TaskFacts> facts = read_facts(task.tid());
  return facts ? facts->cpu : 0;
}

}  // namespace bpfemu

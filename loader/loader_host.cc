// SPDX-License-Identifier: Apache-2.0
#include "loader/loader_host.h"

#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <map>

#include "loader/proc_files.h"

namespace bpfemu {

void LoaderHost::want_syscalls(const SyscallSet& entry, const SyscallSet& exit) {
  const SyscallSet new_exits = tracer_->report(entry, exit);
  heard(entry | exit);
  widening_.want(entry | exit);
  widening_.revisit(new_exits);
}

void LoaderHost::set_root(const Root& root, pid_t first) {
  root_ = root;
  user_namespace_ = namespace_of(first, "user");
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

void LoaderHost::watch(pid_t tid, const Watches& watches, std::function<void()> refused) {
  tracer_->at_stop(tid, [watches, refused = std::move(refused)](Task& task) {
    const Result<void> set = static_cast<TracedTask&>(task).watch(watches);
    if (!set && set.error().value != ESRCH) refused();
  });
}

Host::TimerId LoaderHost::add_timer(u64 period_ns, std::function<void()> fire) {
  // Who ticks while the last time is not over yet has nobody to tell.
  auto busy = std::make_shared<bool>(false);
  // Those of one period tick together: one for each CPU is started after another, and in a kernel that takes no time.
  const u64 in_period = clock(CLOCK_MONOTONIC) % period_ns;
  const u64 first = (in_period < period_ns / 2 ? period_ns : 2 * period_ns) - in_period;
  return waker_.add_timer(first, period_ns, [this, busy, fire = std::move(fire)] {
    if (*busy) return;
    tracer_->long_calls().begin(nullptr, [busy, fire] {
      *busy = true;
      fire();
      *busy = false;
    });
  });
}

// Read once; exec, prctl(PR_SET_NAME) and what changes credentials make them stale.
namespace {

// No call that changes it stops, and others may change it, too. Of real-time threads it stays as it was read.
u32 priority_now(pid_t tid, u32 known) {
  constexpr u32 kFirstNormal = 100, kNice0 = 120;  // kernel: MAX_RT_PRIO, DEFAULT_PRIO
  if (known < kFirstNormal) return known;
  errno = 0;
  const int nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(tid));
  return errno == 0 ? kNice0 + static_cast<u32>(nice) : known;
}

}  // namespace

Result<TaskFacts> LoaderHost::facts(pid_t tid) {
  TracedTask* const task = tasks_.find(tid);
  if (!task) return fail(ESRCH);
  if (!task->facts_fresh) {
    TaskFacts fresh = TRY(read_facts(tid));
    fresh.uid = root_.shown_uid(fresh.uid);
    fresh.euid = root_.shown_uid(fresh.euid);
    fresh.gid = root_.shown_gid(fresh.gid);
    // Capabilities in a namespace below are none over what the kernel model has.
    fresh.capabilities = namespace_of(tid, "user") == user_namespace_ ? root_.granted(fresh.capabilities) : 0;
    fresh.exit_code = task->facts.exit_code;
    if (task->born_ns != 0) {
      fresh.start_time_ns = task->born_ns;
      // Once, since the clocks are not read at the same moment: objects of the thread are known by this number.
      const u64 known = task->facts.start_boottime_ns;
      fresh.start_boottime_ns = known ? known : task->born_ns + (clock(CLOCK_BOOTTIME) - clock(CLOCK_MONOTONIC));
    }
    task->facts = fresh;
    task->facts_fresh = true;
  }
  task->facts.priority = priority_now(tid, task->facts.priority);
  return task->facts;
}

// Most are in our own namespace.
Task* LoaderHost::find_local(Task& caller, pid_t tid) {
  const Result<TaskFacts> own = facts(caller.tid());
  if (!own || own->local_tid == caller.tid()) return find_task(tid);
  for (pid_t other : tasks_.threads()) {
    const Result<TaskFacts> its = facts(other);
    if (its && its->local_tid == tid && its->pid_namespace == own->pid_namespace) return find_task(other);
  }
  return nullptr;
}

// Our own stops are no context switches of the program's.
Result<TaskUsage> LoaderHost::usage(pid_t tid) {
  TracedTask* const task = tasks_.find(tid);
  if (!task) return fail(ESRCH);
  TaskUsage usage = TRY(read_usage(tid));
  usage.switches -= std::min(usage.switches, task->stops());
  return usage;
}

// A thread at one of our stops has just run, and would run on. Many threads take long to look through, and all CPUs
// ask at about the same time.
void LoaderHost::look_who_runs() {
  constexpr u64 kFresh = 1'000'000, kShare = 20;  // at most a twentieth of the time goes into looking
  const u64 start = clock(CLOCK_MONOTONIC);
  if (start < look_again_ns_) return;
  running_.clear();
  for (pid_t tid : tasks_.threads()) {
    const TracedTask& task = *tasks_.find(tid);
    if (task.group_stopped || task.starting || task.exit_reported || task.in_vfork) continue;
    const bool stands = task.at() != TracedTask::At::kRunning;
    const Result<RunState> state = read_run_state(tid);
    if (state && (stands || state->letter == 'R')) running_.push_back({tid, state->cpu, state->policy == SCHED_IDLE});
  }
  const u64 end = clock(CLOCK_MONOTONIC);
  look_again_ns_ = end + std::max(kFresh, kShare * (end - start));
}

// Of those that are ready on a CPU one runs. Which, nobody says: they take turns.
std::vector<pid_t> LoaderHost::running(int cpu) {
  look_who_runs();
  std::map<u32, std::vector<pid_t>> by_cpu;
  for (const Place& place : running_)
    if (cpu < 0 || place.cpu == static_cast<u32>(cpu)) by_cpu[place.cpu].push_back(place.tid);
  std::vector<pid_t> chosen;
  ++turn_;
  for (const auto& [where, tids] : by_cpu) chosen.push_back(tids[turn_ % tids.size()]);
  return chosen;
}

RunQueue LoaderHost::runnable(u32 cpu) {
  look_who_runs();
  RunQueue queue;
  for (const Place& place : running_) {
    if (place.cpu != cpu) continue;
    ++queue.all;
    queue.idle += place.idle;
  }
  return queue;
}

u32 LoaderHost::cpu_of(Task& task) {
  TracedTask* const traced = tasks_.find(task.tid());
  if (!traced) return 0;
  if (const Result<u32> cpu = traced->rseq_cpu()) return *cpu;
  const Result<TaskFacts> facts = read_facts(task.tid());
  return facts ? facts->cpu : 0;
}

void LoaderHost::show_cpus(pid_t tid) {
  TracedTask* const task = tasks_.find(tid);
  if (!task) return;
  task->shows_cpus = true;
  tracer_->cpu().let_go();
}

}  // namespace bpfemu

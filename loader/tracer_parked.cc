// SPDX-License-Identifier: Apache-2.0
// Threads that stand at their first stop and whose creator has not told of them: it is about to, or it was killed on
// the way and they have another parent.
#include <sys/syscall.h>

#include <algorithm>

#include "loader/proc_files.h"
#include "loader/tracer.h"

namespace bpfemu {

namespace {

constexpr u64 kLate = 20'000'000;  // ns, for who has seen its child made to tell of it

bool may_be_creating(const TracedTask& task) {
  if (task.memory().compat) return true;
  // Who is not on a CPU long after the child was made, and not in such a call, has not made it.
  if (const Result<u64> at = read_resume_address(task.tid()); !at) return at.error().value == EBUSY;
  switch (read_sleeping_call(task.tid()).value_or(-1)) {
    case SYS_clone:
    case SYS_clone3:
    case SYS_fork:
    case SYS_vfork: return true;
    default: return false;
  }
}

bool may_have_created(const Process& process) {
  return std::ranges::any_of(process.threads, [](const TracedTask* thread) { return may_be_creating(*thread); });
}

}  // namespace

void Tracer::park(const StopEvent& event) {
  parked_[event.tid] = event;
  adopt(event.tid, false);
  await_parked();
}

void Tracer::await_parked() {
  if (parked_.empty() || !later || std::exchange(awaiting_parked_, true)) return;
  later(kLate, [this] {
    awaiting_parked_ = false;
    adopt_parked(true);
    await_parked();
  });
}

void Tracer::adopt_parked(bool late) {
  const auto orphans = parked_;
  for (const auto& [tid, event] : orphans) adopt(tid, late);
}

// /proc knows where it belongs. One whose creator lives stays parked until that reports it; `late`: the parent may be
// none that made it.
void Tracer::adopt(pid_t tid, bool late) {
  const auto parked = parked_.find(tid);
  const Result<SignalFacts> facts = read_signal_facts(tid);
  if (parked == parked_.end() || !facts) return;
  TracedTask* const creator = tasks_.find(facts->tgid != tid ? facts->tgid : facts->parent_tgid);
  if (creator && creator->at() != TracedTask::At::kExiting && (!late || may_have_created(creator->process())))
    return;
  const StopEvent event = parked->second;
  TracedTask& task =
      creator ? (facts->tgid != tid ? tasks_.add_thread(*creator, tid) : tasks_.add_process(*creator, tid, false))
              : tasks_.add_first(tid);
  if (creator) {
    task.traced = creator->traced_at_resume;
    task.fork_mask = creator->fork_mask;
    handler_->thread_forked(creator->tid(), tid);
  }
  task.own_cpus = creator ? creator->own_cpus : cpu_.last_pin();
  task.starting = true;
  env_.traps.task_adopted(tid);
  parked_.erase(tid);
  env_.postponed.push_front(event);
}

}  // namespace bpfemu

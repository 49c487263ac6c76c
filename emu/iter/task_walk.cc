// SPDX-License-Identifier: Apache-2.0
#include "emu/iter/task_walk.h"

#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "emu/base/proc_files.h"

namespace bpfemu {

namespace {

// kernel: TASK_RUNNING and its like, by the letter in /proc/TID/stat; and EXIT_ZOMBIE.
struct State {
  char letter;
  u32 state, exit_state;
};
constexpr State kStates[] = {{'R', 0, 0}, {'S', 1, 0}, {'D', 2, 0}, {'T', 4, 0}, {'I', 0x402, 0}, {'Z', 0x80, 0x20}};

// kernel: task->files == task->group_leader->files.
bool shares_files(const TaskFacts& facts) {
  // Threads that nobody may compare are as most are.
  return facts.tid == facts.tgid || ::syscall(SYS_kcmp, facts.tid, facts.tgid, KCMP_FILES, 0, 0) <= 0;
}

}  // namespace

TaskWalk::TaskWalk(IterWorld& world, Task& reader, TaskScope scope, u32 number)
    : world_(world), scope_(scope), wanted_(number) {
  const auto facts = world.host.facts(reader.tid());
  nested_ = facts && facts->local_tid && facts->local_tid != facts->tid;
  pid_namespace_ = nested_ ? facts->pid_namespace : 0;
}

void TaskWalk::list() {
  threads_.clear();
  for (pid_t tid : world_.host.threads()) {
    const auto facts = world_.host.facts(tid);
    if (!facts || (nested_ && facts->pid_namespace != pid_namespace_)) continue;
    const auto number = static_cast<u32>(nested_ ? facts->local_tid : tid);
    const auto process = static_cast<u32>(nested_ ? facts->local_tgid : facts->tgid);
    if (scope_ == TaskScope::kThread && number != wanted_) continue;
    if (scope_ == TaskScope::kProcess && process != wanted_) continue;
    threads_.push_back({number, tid});
  }
  std::ranges::sort(threads_, {}, &Thread::number);
  // A process begins with its leader, whatever its number (kernel: next_thread).
  const auto leader = std::ranges::find(threads_, wanted_, &Thread::number);
  if (scope_ == TaskScope::kProcess && leader != threads_.end()) std::rotate(threads_.begin(), leader, leader + 1);
}

std::optional<TaskFacts> TaskWalk::facts_of(u64 number) const {
  const auto thread = std::ranges::find(threads_, number, &Thread::number);
  const auto facts = thread == threads_.end() ? fail(ESRCH) : world_.host.facts(thread->tid);
  return facts ? std::optional(*facts) : std::nullopt;
}

std::optional<TaskFacts> TaskWalk::find_any(bool owners_of_files) {
  for (auto at = std::ranges::lower_bound(threads_, at_, {}, &Thread::number); at != threads_.end(); ++at) {
    at_ = at->number;
    const auto facts = world_.host.facts(at->tid);
    if (facts && (!owners_of_files || facts->tid == facts->tgid || !shares_files(*facts))) return *facts;
    ++at_;
  }
  return std::nullopt;
}

// Kernel: task_group_seq_get_next, to the letter: what decides whether a thread is left out is the one before it, and a
// read behind the end of the files of a process comes upon its last thread once more.
std::optional<TaskFacts> TaskWalk::find_in_process(bool owners_of_files) {
  if (!at_) {
    auto leader = facts_of(wanted_);
    if (leader) at_ = visiting_ = wanted_;
    return leader;
  }
  if (at_ == visiting_) return facts_of(visiting_);
  auto thread = std::ranges::find(threads_, visiting_, &Thread::number);
  if (thread == threads_.end()) return std::nullopt;
  for (;;) {
    const auto facts = world_.host.facts(thread->tid);
    if (++thread == threads_.end() || !facts) return std::nullopt;
    at_ = visiting_ = thread->number;
    if (!owners_of_files || !shares_files(*facts)) return facts_of(visiting_);
  }
}

std::optional<TaskFacts> TaskWalk::find(bool owners_of_files) {
  switch (scope_) {
    case TaskScope::kThread: {
      auto facts = at_ && at_ != wanted_ ? std::nullopt : facts_of(wanted_);
      if (facts) at_ = wanted_;
      return facts;
    }
    case TaskScope::kProcess: return find_in_process(owners_of_files);
    default: return find_any(owners_of_files);
  }
}

std::optional<TaskFacts> TaskWalk::start(bool owners_of_files) {
  list();
  return find(owners_of_files);
}

std::optional<TaskFacts> TaskWalk::next(bool owners_of_files) {
  ++at_;
  return find(owners_of_files);
}

// The reader is in its call; the others stand where they are.
u64 TaskWalk::task_struct(const TaskFacts& facts, pid_t current) const {
  const u64 address = world_.runner.task_struct_of(facts);
  if (!address || facts.tid == current) return address;
  const std::string stat = read_proc(facts.tid, "stat").value_or("");
  const auto fields = stat_fields(stat);
  const char letter = fields.empty() || fields[0].empty() ? 'R' : fields[0][0];
  const auto* known = std::ranges::find(kStates, letter, &State::letter);
  const State state = known == std::end(kStates) ? State{'R', 0, 0} : *known;
  const KernelObject task(address, world_.space.structure("task_struct"));
  task.set("__state", state.state);
  task.set("exit_state", static_cast<s32>(state.exit_state));
  task.set("on_cpu", s32{state.letter == 'R'});
  return address;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "loader/decider.h"

#include <limits.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "loader/filter.h"
#include "loader/forced_signal.h"
#include "loader/tracer.h"

namespace bpfemu {

bool Decider::grew_hot(TracedTask& task, const PathShape* shape) {
  if (hot == 0 || !shape || task.memory().compat || task.memory().may_wait || task.process().asks_always) return false;
  return env_.traps.grew_hot(task, hot);
}

void Decider::patch(TracedTask& task, const PathTable& table, CallHandler& handler) {
  const PatchResult result = env_.traps.decide_inside(task, {table, handler.inside()});
  if (result == PatchResult::kPatched) {
    task.memory().patched = true;
    ++counts_.patched;
  } else {
    ++counts_.refused[static_cast<size_t>(result)];
  }
}

// Nobody else has anything to do with the call than programs that its process can run.
bool Decider::is_told_alone(long number) {
  switch (number) {
    case SYS_rt_sigreturn:
    case SYS_restart_syscall:
    case SYS_fork:
    case SYS_vfork:
    case SYS_clone:
    case SYS_clone3:
    case SYS_execve:
    case SYS_execveat:
    case SYS_exit:
    case SYS_exit_group: return false;
    default: return !loader_syscalls()[static_cast<size_t>(number)] && !Tracer::signal_calls()[static_cast<size_t>(number)];
  }
}

void Decider::was_told(TracedTask& task, long number, CallHandler& handler) {
  const PathShape shape = told_shape(number);
  if (!handler.inside().tells(number) || !is_told_alone(number) || !grew_hot(task, &shape)) return;
  if (PathTable* const table = handler.paths()) patch(task, *table, handler);
}

void Decider::was_native(TracedTask& task, long number, const std::array<u64, 6>& args, CallHandler& handler) {
  const PathShape* const shape = path_shape(number);
  if (task.memory().patched) env_.traps.see_inside(task, handler.inside());
  if (!shape) return was_told(task, number, handler);
  if (!grew_hot(task, shape)) return;
  PathTable* const table = handler.paths();
  if (!table) return;
  if (hot > 1) {
    Result<std::string> path;
    if (shape->path >= 0) path = task.read_string(args[static_cast<size_t>(shape->path)], PATH_MAX);
    if (!path || !table->passes(number, args, *path)) return;
  }
  patch(task, *table, handler);
}

void Decider::was_answered(TracedTask& task, Call& call, CallHandler& handler) {
  const PathShape* const shape = path_shape(call.number);
  if (task.memory().patched && call.number == SYS_bpf) env_.traps.see_inside(task, handler.inside());
  if (!shape || !shape->inside || !grew_hot(task, shape)) return;
  PathTable* const table = handler.paths();
  if (!table) return;
  if (hot > 1 && (!table->passes(call.number, call.args, {}) || !handler.is_answered_inside(call))) return;
  patch(task, *table, handler);
}

void Decider::begin(TracedTask& task, u64 image, CallHandler& handler) {
  // What the program does for it before it begins is to be seen by nobody.
  const auto stops = [&](long number) { return task.traced[static_cast<size_t>(number)]; };
  if (hot == 0 || task.pending || stops(SYS_mmap) || stops(SYS_mprotect) || stops(SYS_shmat)) return;
  if (task.memory().compat || task.memory().may_wait || task.process().asks_always) return;
  PathTable* const table = env_.traps.may_begin(task, image) ? handler.paths() : nullptr;
  const std::optional<u64> patched = table ? env_.traps.begin_inside(task, *table) : std::nullopt;
  task.memory().patched = patched.has_value();
  counts_.patched += patched.value_or(0);
}

void Decider::forked(TracedTask& task, CallHandler& handler) {
  PathTable* const table = task.memory().patched && !task.process().asks_always ? handler.paths() : nullptr;
  if (table) counts_.patched += env_.traps.decide_wanted(task, {*table, handler.inside()});
}

void Decider::leave_alone(TracedTask& task) {
  task.process().asks_always = true;
  env_.traps.ask_always(task.tid());
}

bool Decider::takes_fault(TracedTask& task, int signal) {
  if ((signal != SIGSEGV && signal != SIGBUS) || !task.was_deciding()) return false;
  const Result<siginfo_t> info = task.signal_info();
  if (!info || info->si_code <= 0) return false;
  restore_forced(task, signal);
  (void)task.resume(PTRACE_CONT, 0);
  return true;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// The loop, and what becomes of threads. tracer_calls.cc has system calls and signals.
#include "loader/tracer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>

#include "loader/auxv.h"
#include "loader/call_args.h"
#include "loader/forced_signal.h"
#include "loader/held_signal.h"
#include "loader/proc_files.h"
#include "loader/stop.h"
#include "loader/vdso.h"

namespace bpfemu {

namespace {

// So many single waits, then one round of everything that is ready: wait4 looks at threads in a fixed order, and the
// first could starve the last.
constexpr u32 kSingleWaits = 32;
constexpr u64 kCodeSegment32 = 0x23;
constexpr size_t kPathLimit = 4096;

// The flags of the clone, clone3, fork or vfork that the thread is in.
u64 clone_flags(TracedTask& task) {
  const PtRegs& regs = task.regs();
  u64 flags = 0;
  if (task.memory().compat) {
    constexpr u64 kClone32 = 120, kVfork32 = 190;
    if (regs.orig_rax == kClone32) return regs.rbx;
    return regs.orig_rax == kVfork32 ? CLONE_VM | CLONE_VFORK : 0;
  }
  switch (regs.orig_rax) {
    case SYS_clone: return regs.rdi;
    case SYS_clone3: return task.read(regs.rdi, &flags, sizeof flags) ? flags : 0;
    case SYS_vfork: return CLONE_VM | CLONE_VFORK;
    default: return 0;
  }
}

// What the kernel calls the program that the thread has just become (linux_binprm.filename): a script's own path, and
// /dev/fd/N for a descriptor. The new program has a copy of it. Empty: its memory may not be read.
std::string exec_filename(TracedTask& task, const AuxVector& auxv) {
  const u64 address = auxv.of(AT_EXECFN);
  return address ? task.read_string(address, kPathLimit).value_or("") : "";
}

u64 monotonic_ns() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * u64{1'000'000'000} + t.tv_nsec;
}

}  // namespace

Tracer::Tracer(TaskEnv& env, TaskTable& tasks, Widening& widening)
    : env_(env), tasks_(tasks), widening_(widening), decider_(env) {
  env_.sleep = [this](const TracedTask& task, const std::function<bool()>& done) {
    return long_calls_.sleep(task, done);
  };
  env_.publish = [this] {
    if (handler_) handler_->publish(minds_mappings());
  };
}

Result<void> Tracer::start(Spawn& spawn, const SyscallSet& traced, CallHandler& handler) {
  handler_ = &handler;
  root_ = spawn.pid();
  TracedTask& task = tasks_.add_first(root_);
  task.traced = traced;
  TRY(spawn.seize(env_.os));
  while (!started_ && !root_dead_ && turn()) continue;
  if (!started_) return fail(spawn.error() ? spawn.error() : ECHILD);
  tasks_.find(root_)->traced |= spawn.trapped();
  return {};
}

void Tracer::adopt_first(TracedTask& task, CallHandler& handler) {
  handler_ = &handler;
  root_ = task.tid();
  started_ = true;
}

// False when there is nobody left to wait for.
bool Tracer::turn() {
  StopEvent event;
  if (!next(event)) return false;
  handle(event);
  return true;
}

int Tracer::run() {
  while (!tasks_.empty() && !stopping_ && (!root_dead_ || wait_for_all) && turn()) continue;
  long_calls_.end_all();
  kill_all();
  return root_status_;
}

// False when there is nobody left to wait for.
bool Tracer::next(StopEvent& event) {
  for (;;) {
    for (const StopEvent& stop : long_calls_.ended()) env_.postponed.push_back(stop);
    if (!env_.postponed.empty()) break;
    if (long_calls_.ready()) {
      if (wait_between_slices()) continue;
      event = {};
      return true;
    }
    if (single_waits_ >= kSingleWaits) {
      single_waits_ = 0;
      for (Result<Waited> w = env_.os.wait(-1, false); w && w->tid > 0; w = env_.os.wait(-1, false)) collect(*w);
      continue;
    }
    ++single_waits_;
    const Result<Waited> waited = env_.os.wait(-1, true);
    if (waited) {
      collect(*waited);
    } else if (waited.error().value == EINTR) {
      event = {};
      return true;
    } else {
      return false;
    }
  }
  event = env_.postponed.front();
  env_.postponed.pop_front();
  return true;
}

// While there is work to go on with, nobody waits. True: somebody had stopped.
bool Tracer::wait_between_slices() {
  long_calls_.run_slice();
  for (int i = 0; i < static_cast<int>(kSingleWaits); ++i) {
    const Result<Waited> waited = env_.os.wait(-1, false);
    if (!waited || waited->tid <= 0) break;
    collect(*waited);
  }
  return !env_.postponed.empty();
}

// Who is answered stands still, so any stop of it is its end; and an exec is the end of all siblings. What is done for
// them comes to its end first.
bool Tracer::hindered(const TracedTask& task, const StopEvent& event) {
  if (long_calls_.empty()) return false;
  return event.kind == Kind::kExec ? !long_calls_.end_of_group(task.tgid(), event)
                                   : !long_calls_.end_of_thread(event.tid, event);
}

void Tracer::collect(Waited waited) {
  const StopEvent event = decode(waited);
  TracedTask* const task = tasks_.find(event.tid);
  if (task && task->awaiting()) return task->deliver(waited), long_calls_.wake();
  if (task) note_stop(*task, event);
  env_.postponed.push_back(event);
}

void Tracer::handle(const StopEvent& event) {
  attend();
  if (event.kind == Kind::kNone) return;
  handler_->catch_up();
  TracedTask* const task = tasks_.find(event.tid);
  if (task && hindered(*task, event)) return;
  if (event.kind == Kind::kDead) return on_dead(event);
  if (task) {
    // Unknown yet when its status was collected.
    if (task->at() == TracedTask::At::kRunning) note_stop(*task, event);
    long_calls_.begin(task, [this, task, event] { on_stop(*task, event); });
  } else if (event.kind == Kind::kExiting) {
    // Killed before anybody told of it.
    parked_.erase(event.tid);
    (void)env_.os.ptrace(PTRACE_CONT, event.tid, 0, 0);
  } else {
    park(event);
  }
}

void Tracer::look_at_mappings() {
  env_.publish();
  for (pid_t tid : tasks_.threads()) {
    TracedTask& task = *tasks_.find(tid);
    if (task.at() != TracedTask::At::kRunning || !task.memory().patched || read_state(tid).value_or('S') == 'S') continue;
    at_stop(tid, [this, tid](Task&) { env_.traps.mappings_changed(tid); });
  }
}

void Tracer::at_stop(pid_t tid, std::function<void(Task&)> call) {
  TracedTask* const task = tasks_.find(tid);
  if (!task) return;
  if (long_calls_.runs_for(*task)) return call(*task);
  // Who stands still already comes by: its stop waits for its turn, or for the end of what is being done for it. In
  // anybody else's turn a long call could not stand aside.
  const bool running = task->at() == TracedTask::At::kRunning;
  if (running && !task->interrupted && !task->interrupt()) return;
  task->at_stop.push_back(std::move(call));
}

void Tracer::on_stop(TracedTask& task, const StopEvent& event) {
  if (event.kind != Kind::kTrap) cpu_.stopped(task);
  for (const auto& call : std::exchange(task.at_stop, {})) task.as_program([&] { call(task); });
  if (task.held) {
    const int signal = release_signal(task, event);
    if (signal > 0) return on_signal(task, signal);
    if (signal < 0) return go(task);
  }
  if (task.delivery) signal_handled(task);
  // Any stop ends an interrupt. From one where nothing can be installed the thread must come by again.
  const bool passing = event.kind == Kind::kSignal || task.at() == TracedTask::At::kInside;
  if (passing && (task.was_interrupted || widening_.lacks(task))) (void)task.interrupt();
  switch (event.kind) {
    case Kind::kSeccomp: return on_seccomp(task);
    case Kind::kSyscall: return on_syscall(task);
    case Kind::kSignal: return on_signal(task, event.value);
    case Kind::kGroupStop: return on_group_stop(task, event.value);
    case Kind::kTrap: return on_trap(task);
    case Kind::kFork:
    case Kind::kVfork:
    case Kind::kClone: return on_fork(task, event.kind);
    case Kind::kVforkDone: task.in_vfork = false; return expect_exit(task), go(task);
    case Kind::kExec: return on_exec(task);
    case Kind::kExiting: return on_exiting(task);
    case Kind::kDead:
    case Kind::kNone: return;
  }
}

// Lets the thread run on; inside a call whose exit matters, to its exit stop.
void Tracer::go(TracedTask& task) {
  (void)task.resume(task.pending || task.entry_stop ? PTRACE_SYSCALL : PTRACE_CONT);
}

// In the middle of a call that was entered before anybody wanted to see its exit.
void Tracer::expect_exit(TracedTask& task) {
  const u64 number = task.regs().orig_rax;
  if (task.pending || task.memory().compat || number >= kSyscallLimit || !report_exit_[number]) return;
  task.pending = TracedTask::Pending{static_cast<long>(number), args_of(task.regs())};
  task.unseen_entry = true;
}

void Tracer::on_fork(TracedTask& task, Kind kind) {
  const Result<u64> message = task.event_message();
  if (!message) return;
  expect_exit(task);
  const pid_t tid = static_cast<pid_t>(*message);
  const u64 flags = clone_flags(task);
  const bool thread = flags & CLONE_THREAD, shares_memory = flags & CLONE_VM;
  TracedTask* child = tasks_.find(tid);
  if (!child) {
    child = thread ? &tasks_.add_thread(task, tid) : &tasks_.add_process(task, tid, shares_memory);
    child->traced = thread ? task.traced : task.traced_at_resume;
    child->starting = true;
    child->born_ns = monotonic_ns();
    child->pending = task.pending;  // its own return from the call, which handlers do not see
    if (child->pending) child->pending->handled = false;
    if (child->pending && shares_memory) child->pending->clone_copy = 0;
    child->fork_mask = task.fork_mask;
    child->own_cpus = task.own_cpus;
    if (!thread) child->process().parent = flags & CLONE_PARENT ? task.process().parent : task.tid();
    env_.traps.task_cloned(task.tid(), tid, shares_memory);
    handler_->thread_forked(task.tid(), tid);
  }
  task.fork_restarts = 0;
  end_shelter(task);
  task.in_vfork = kind == Kind::kVfork;
  decider_.forked(task, *handler_);
  if (EventSink* sink = handler_->events()) sink->task_forked(task, tid, thread);
  go(task);
  const auto parked = parked_.find(tid);
  if (parked == parked_.end()) return;
  env_.postponed.push_front(parked->second);
  parked_.erase(parked);
}

void Tracer::on_first_stop(TracedTask& task) {
  task.starting = false;
  task.be_nobody_inside();
  CpuFollower::started(task);
  end_shelter(task);
  const std::optional<TracedTask::Pending> pending = std::exchange(task.pending, std::nullopt);
  widening_.ensure(task);
  if (pending) leave_call(task, *pending);
}

void Tracer::on_exec(TracedTask& task) {
  const Result<u64> message = task.event_message();
  if (!message) return;
  const pid_t old_tid = static_cast<pid_t>(*message);
  handler_->thread_executed(task.tid(), old_tid);
  cpu_.executed(task.tid(), old_tid);
  for (pid_t tid : tasks_.keep_only(task, old_tid)) gone(tid);
  task.executed(tasks_.new_memory());
  task.memory().compat = task.regs().cs == kCodeSegment32;
  if (task.memory().compat) cpu_.let_go();  // its look at masks would not stop
  const std::optional<struct statx> program = stat_open(fmt::format("/proc/{}/exe", task.tid()));
  task.memory().may_wait = program && file_systems_.may_wait(task.tid(), *program);
  shadow_exec(task.process());
  task.restartable.reset();
  task.facts_fresh = task.in_vfork = task.silent_entry = false;
  task.delivery.reset();
  if (task.pending) task.pending->restore_args = false;
  const AuxVector auxv = read_auxv(task.tid(), task.regs().rsp, task.memory().compat).value_or(AuxVector());
  if (!task.memory().compat) {
    task.memory().vdso = auxv.of(AT_SYSINFO_EHDR);
    if (const u32 code = handler_->version_code(); code && task.memory().vdso) claim_version(task, code);
  }
  if (program) note_set_uid(task, *program);
  if (!started_ && task.tid() == root_) {
    started_ = true;
    env_.traps.task_started(root_);
    decider_.begin(task, auxv.first_image(), *handler_);
    return go(task);
  }
  env_.traps.task_executed(task.tid(), old_tid);
  if (EventSink* sink = handler_->events()) sink->task_executed(task, old_tid, exec_filename(task, auxv));
  widening_.ensure(task);
  decider_.begin(task, auxv.first_image(), *handler_);
  // A remote call has taken the thread to the exit stop of its exec already.
  if (task.at() == TracedTask::At::kSyscallExit) return on_syscall(task);
  go(task);
}

// No new privileges come by exec where no_new_privs had to be set for our filter, or the tracer has not as many.
void Tracer::note_set_uid(const TracedTask& task, const struct statx& program) {
  struct stat self;
  if (!(program.stx_mode & S_ISUID)) return;
  if (::stat(fmt::format("/proc/{}", task.tid()).c_str(), &self) == 0 && self.st_uid != program.stx_uid)
    note("the privileges of a set-user-ID program");
}

// A thread that is killed in a call leaves that call first.
void Tracer::end_call(TracedTask& task, EventSink& sink) {
  const std::optional<TracedTask::Pending> pending = std::exchange(task.pending, std::nullopt);
  if (!pending || pending->number < 0 || !report_exit_[pending->number]) return;
  if (pending->number == SYS_exit || pending->number == SYS_exit_group) return;
  PtRegs& regs = task.regs();
  const s64 result = static_cast<s64>(regs.rax);
  if (pending->restore_args) set_args(regs, pending->args);
  if (static_cast<long>(regs.orig_rax) == pending->number && result != -ENOSYS)  // what it is before the call
    (void)sink.syscall_exited(task, regs, pending->number, result);
}

void Tracer::on_exiting(TracedTask& task) {
  const Result<u64> status = task.event_message();
  task.facts.exit_code = status ? static_cast<int>(*status) : 0;
  task.facts_fresh = false;  // nobody tells of a new priority
  task.exit_reported = true;
  if (task.side() == StubSide::kRunning) env_.traps.show_program(task.tid(), task.regs());
  if (EventSink* sink = handler_->events()) {
    end_call(task, *sink);
    const u64 call = task.regs().orig_rax;
    end_delivered(task, call != SYS_exit && call != SYS_exit_group);
    sink->task_exiting(task, task.facts.exit_code);
    if (report_signals_) child_died(task, task.facts.exit_code);
  }
  (void)task.resume(PTRACE_CONT);
}

// Nothing more comes of the thread.
void Tracer::gone(pid_t tid) {
  if (EventSink* sink = handler_->events()) sink->task_gone(tid);
  cpu_.gone(tid);
  env_.traps.task_gone(tid);
  handler_->thread_gone(tid);
}

void Tracer::on_dead(const StopEvent& event) {
  parked_.erase(event.tid);
  if (event.tid == root_) {
    root_dead_ = true;
    root_status_ = event.value;
  }
  TracedTask* const task = tasks_.find(event.tid);
  if (!task) return;
  EventSink* const sink = handler_->events();
  if (sink && !task->exit_reported) {
    end_delivered(*task, WIFSIGNALED(event.value));
    sink->task_exiting(*task, event.value);
  }
  gone(event.tid);
  // The thread group's leader is reported dead after all others.
  if (task->tid() == task->tgid()) handler_->process_ended(task->tgid(), event.value);
  tasks_.remove(event.tid);
  tasks_.parent_died(event.tid);
  if (!parked_.empty()) adopt_parked(false);
}

void Tracer::on_trap(TracedTask& task) {
  if (task.starting) {
    on_first_stop(task);
    return go(task);
  }
  widening_.ensure(task);
  if (task.was_interrupted) (void)resume_interrupted(task, std::nullopt);
  go(task);
}

void Tracer::on_group_stop(TracedTask& task, int signal) {
  if (task.starting) on_first_stop(task);
  widening_.ensure(task);
  if (task.displaced()) {
    // Only a thread that stands at the group stop itself can go on standing there.
    (void)task.interrupt();
    return go(task);
  }
  (void)task.resume(PTRACE_LISTEN, 0);
  task.group_stopped = signal != 0;
}

// What still runs ends with the command.
void Tracer::kill_all() {
  for (pid_t tgid : tasks_.thread_groups()) ::kill(tgid, SIGKILL);
  for (const auto& [tid, event] : parked_) ::kill(tid, SIGKILL), (void)env_.os.ptrace(PTRACE_CONT, tid, 0, 0);
  // What was reported and not dealt with yet is not reported again.
  for (const StopEvent& stop : long_calls_.ended()) env_.postponed.push_back(stop);
  for (const StopEvent& event : std::exchange(env_.postponed, {})) {
    if (event.kind != Kind::kDead) continue;
    if (event.tid == root_) root_status_ = event.value;
    tasks_.remove(event.tid);
  }
  for (pid_t tid : tasks_.threads()) (void)env_.os.ptrace(PTRACE_CONT, tid, 0, 0);
  while (!tasks_.empty()) {
    const Result<Waited> waited = env_.os.wait(-1, true);
    if (!waited && waited.error().value != EINTR) return;
    if (!waited) continue;
    const StopEvent event = decode(*waited);
    if (event.kind == Kind::kDead) {
      if (event.tid == root_) root_status_ = event.value;
      tasks_.remove(event.tid);
    } else {
      (void)env_.os.ptrace(PTRACE_CONT, event.tid, 0, 0);
      if (!tasks_.find(event.tid)) ::kill(event.tid, SIGKILL);
    }
  }
}

SyscallSet Tracer::report(const SyscallSet& entry, const SyscallSet& exit) {
  report_entry_ = entry;
  return exit & ~std::exchange(report_exit_, exit);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// System calls and signals in the tracer's loop.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "emu/base/bytes.h"
#include "loader/call_args.h"
#include "loader/clone_args.h"
#include "loader/filter.h"
#include "loader/forced_signal.h"
#include "loader/held_signal.h"
#include "loader/own_filter.h"
#include "loader/proc_files.h"
#include "loader/tracer.h"

namespace bpfemu {

namespace {

constexpr long kI386Bpf = 357;
constexpr s64 kRestartNoIntr = -513, kRestartBlock = -516;
// Emulated by the kernel at a fault: there is no exit stop, and changing registers kills.
constexpr u64 kVsyscallPage = 0xffffffffff600000;

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

// There processes, and times, are called otherwise than by tools.
constexpr u64 kOtherNames = CLONE_NEWPID | CLONE_NEWTIME;

// Every stop before a fork gives the next timer signal the time to arrive, which makes the fork start over and stop
// again. So often that is left to luck.
constexpr u32 kForkRestarts = 3;
constexpr size_t kFilterSize = sizeof(sock_fprog) + BPF_MAXINSNS * sizeof(sock_filter);

bool makes_task(long number) {
  return number == SYS_clone || number == SYS_fork || number == SYS_vfork || number == SYS_clone3;
}

bool sets_facts(long number) {
  switch (number) {
    case SYS_prctl:
    case SYS_setuid:
    case SYS_setgid:
    case SYS_setreuid:
    case SYS_setregid:
    case SYS_setresuid:
    case SYS_setresgid:
    case SYS_setfsuid:
    case SYS_setfsgid:
    case SYS_capset:
    case SYS_unshare:
    case SYS_setns: return true;
    default: return false;
  }
}

// Raised by the instruction itself, not sent.
bool is_fault(TracedTask& task, int signal) {
  if (signal != SIGSEGV && signal != SIGBUS && signal != SIGFPE && signal != SIGILL) return false;
  const Result<siginfo_t> info = task.signal_info();
  return info && info->si_code > 0;
}

// Did something end the call that the thread is in before it had a result?
bool ends_early(TracedTask& task) {
  const s64 result = static_cast<s64>(task.regs().rax);
  return static_cast<s64>(task.regs().orig_rax) >= 0 && (is_restart(result) || result == -EINTR);
}

}  // namespace

void Tracer::on_seccomp(TracedTask& task) {
  const PtRegs& regs = task.regs();
  const long number = static_cast<int>(regs.orig_rax);
  if ((regs.rip & ~u64{0xfff}) == kVsyscallPage) return go(task);
  if (!started_) {
    // The child between clone and exec: its probes for an outer filter, else calls of no interest.
    if (regs.rdi == Spawn::kProbeMagic) return answer(task, -1, Spawn::kProbeAnswer);
    return go(task);
  }
  const bool known = is_claimed_call(number);
  if (number == kInsideRequestCall && task.side() == StubSide::kRunning) return on_request(task);
  if (task.has_parted()) return (void)task.resume(PTRACE_CONT);
  if (!known && task.event_message() == u64{kCompatTag}) {
    note(number == kI386Bpf ? "bpf() from 32-bit code" : "perf_event_open() from 32-bit code");
    return answer(task, -1, -ENOSYS);
  }
  widening_.ensure(task);
  if (!known) return on_unknown_call(task, number);
  if (number == SYS_restart_syscall && task.restartable) return on_restarted(task);
  on_call(task, number);
}

// The claimed kernel has no such call, whatever the host's has: the result is what it is when a call begins, ENOSYS.
void Tracer::on_unknown_call(TracedTask& task, long number) {
  const size_t place = place_of_call(number);
  PtRegs& regs = task.regs();
  task.restartable.reset();
  task.unseen_entry = false;
  if (EventSink* sink = handler_->events()) {
    if (report_entry_[place]) (void)sink->syscall_entered(task, regs, number);
    if (report_exit_[place]) (void)sink->syscall_exited(task, regs, number, -ENOSYS);
  }
  regs.orig_rax = ~u64{0};
  (void)task.resume(PTRACE_CONT);
}

// restart_syscall goes on with the call that was interrupted: its exit is that call's exit.
void Tracer::on_restarted(TracedTask& task) {
  const bool silent = task.reentered();
  EventSink* const sink = handler_->events();
  if (sink && !silent && report_entry_[SYS_restart_syscall])
    (void)sink->syscall_entered(task, task.regs(), SYS_restart_syscall);
  if (task.displaced() && !task.rewind_to_call()) return;
  task.pending = std::exchange(task.restartable, std::nullopt);
  go(task);
}

void Tracer::on_call(TracedTask& task, long number) {
  const bool silent = task.reentered();
  EventSink* const sink = handler_->events();
  TracedTask::Pending pending = task.pending.value_or(TracedTask::Pending{number, args_of(task.regs())});
  task.restartable.reset();
  task.unseen_entry = task.unseen_entry && silent;
  if (sink && !silent && number >= 0) {
    if (report_entry_[number]) {
      if (const auto denied = sink->syscall_entered(task, task.regs(), number)) {
        task.pending.reset();
        return answer(task, number, *denied);
      }
    }
    if (report_signals_ && signal_calls()[number]) signal_sent(task, {task, number, args_of(task.regs())});
  }

  Call call{task, number, args_of(task.regs())};
  bool changed = own_call(task, call, pending);
  const Reply reply = handler_->enter(call);
  if (reply.kind == Reply::Kind::kAnswered) {
    task.pending.reset();
    decider_.was_answered(task, call, *handler_);
    return answer(task, number, reply.value);
  }
  changed = changed || reply.args_changed;
  if (reply.kind == Reply::Kind::kNative && !changed && number >= 0)
    decider_.was_native(task, number, call.args, *handler_);
  if (task.displaced() && !task.rewind_to_call()) return;
  // Not before: the call that is rewound must be one that stops.
  if (changed) set_args(task.regs(), call.args);
  if (pending.as_clone) task.regs().orig_rax = SYS_clone;
  pending.restore_args = pending.restore_args || changed;
  pending.handled = reply.kind == Reply::Kind::kNativeThenExit;
  const bool reported = sink && number >= 0 && report_exit_[number];
  const bool seen = reported || pending.handled || pending.restore_args || pending.maps_text || pending.clone_copy ||
                    pending.filter || pending.shows_cpus || (sets_facts(number) && number != SYS_prctl);
  if (seen) task.pending = pending;
  if (makes_task(number) && task.fork_restarts >= kForkRestarts) shelter_fork(task, pending);
  go(task);
}

// Puts our gate before the filter that the program installs. True: the call was given another program.
bool Tracer::install_filter(TracedTask& task, Call& call, TracedTask::Pending& pending) {
  const std::optional<SeccompRequest> request = seccomp_request(call.number, call.args);
  if (!request) return false;
  decider_.leave_alone(task);
  // What the kernel answers to these two is EINVAL and EBUSY, since the thread has our filter.
  if (request->strict) note("seccomp's strict mode, in a traced process");
  if (request->listener) note("a seccomp listener of a traced process' own");
  sock_fprog program = {};
  if (request->strict || !task.read(call.args[kSeccompProgram], &program, sizeof program)) return false;
  if (program.len == 0 || program.len > BPF_MAXINSNS) return false;
  std::vector<sock_filter> filter(program.len);
  if (!task.read(reinterpret_cast<u64>(program.filter), filter.data(), filter.size() * sizeof(sock_filter)))
    return false;
  filter = behind_gate(filter, env_.secret);
  const Result<u64> at =
      task.call(SYS_mmap, {0, kFilterSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, ~u64{0}, 0});
  if (filter.empty() || !at) return note("probes in a process whose seccomp filter has no room for ours"), false;
  pending.filter = *at;
  const sock_fprog ours{static_cast<unsigned short>(filter.size()),
                        reinterpret_cast<sock_filter*>(*at + sizeof program)};
  if (!task.write(*at, &ours, sizeof ours) ||
      !task.write(*at + sizeof ours, filter.data(), filter.size() * sizeof(sock_filter)))
    return false;
  call.args[kSeccompProgram] = *at;
  return true;
}

// A thread has one tracer, and that is us: the kernel says EPERM to another.
void Tracer::note_ptrace(const Call& call) {
  const u64 request = call.args[0];
  const bool attaches = request == PTRACE_ATTACH || request == PTRACE_SEIZE;
  if (request == PTRACE_TRACEME || (attaches && tasks_.find(static_cast<pid_t>(call.args[1]))))
    note("ptrace() of a traced process");
}

// Signals that have a handler, or no effect, wait until the fork is done. Those that would end or stop the process do
// not: a child must not escape a signal to its group that came before it.
void Tracer::shelter_fork(TracedTask& task, const TracedTask::Pending& pending) {
  const Result<SignalFacts> facts = read_signal_facts(task.tid());
  if (!facts || !task.set_signal_mask(facts->blocked | facts->caught | without_effect(*facts))) return;
  task.fork_mask = facts->blocked;
  task.pending = pending;  // for the exit stop of a fork that fails
}

void Tracer::end_shelter(TracedTask& task) {
  if (const std::optional<u64> mask = std::exchange(task.fork_mask, std::nullopt)) (void)task.set_program_mask(*mask);
}

// The kernel is to see what we have seen: in registers, or in a copy that no other thread knows of.
bool Tracer::fix_clone_args(TracedTask& task, Call& call, TracedTask::Pending& pending) {
  const u64 size = call.args[1];
  std::vector<u8> bytes(std::min<u64>(size, kMostCloneArgs));
  if (bytes.size() != size) return false;            // E2BIG
  const u64 given = std::exchange(call.args[0], 0);  // EFAULT, unless all goes well
  if (!task.read(given, bytes.data(), bytes.size())) return true;
  if (const auto args = as_clone(bytes)) {
    pending.as_clone = true;
    call.args = *args;
    return true;
  }
  if (bytes.size() < sizeof(u64)) return true;
  u64 flags = load<u64>(bytes.data()) & ~u64{CLONE_UNTRACED};
  std::memcpy(bytes.data(), &flags, sizeof flags);
  if (flags & CLONE_INTO_CGROUP) note("clone3() into a cgroup");  // the folder is none of the host's: EBADF
  const Result<u64> at = task.call(SYS_mmap, {0, kMostCloneArgs, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, ~u64{0}, 0});
  if (!at) return true;
  pending.clone_copy = *at;
  pending.shares_memory = flags & CLONE_VM;
  if (task.force(*at, bytes.data(), bytes.size())) call.args[0] = *at;
  return true;
}

// clone3() again, in what the program and probes see, and for the kernel if it is to be restarted.
void Tracer::unfix_clone_args(TracedTask& task, const TracedTask::Pending& pending) {
  if (pending.as_clone && task.regs().orig_rax == SYS_clone) task.regs().orig_rax = SYS_clone3;
  if (pending.clone_copy) (void)task.call(SYS_munmap, {pending.clone_copy, kMostCloneArgs});
}

// Pages of the file may have to come from a process.
void Tracer::note_waiting_file(TracedTask& task, const Call& call) {
  if (task.memory().may_wait || (call.args[3] & MAP_ANONYMOUS)) return;
  const auto file = stat_open(fmt::format("/proc/{}/fd/{}", task.tid(), static_cast<int>(call.args[4])));
  task.memory().may_wait = file && file_systems_.may_wait(task.tid(), *file);
}

// What the loader must know or prevent, whoever else handles the call. True: arguments were changed.
bool Tracer::own_call(TracedTask& task, Call& call, TracedTask::Pending& pending) {
  switch (call.number) {
    case SYS_clone:
      // What its children call themselves is not what tools call them.
      if (call.args[0] & CLONE_NEWPID) decider_.leave_alone(task);
      if (!(call.args[0] & CLONE_UNTRACED)) return false;
      call.args[0] &= ~u64{CLONE_UNTRACED};
      return true;
    case SYS_clone3: return fix_clone_args(task, call, pending);
    case SYS_rt_sigaction: shadow_sigaction(task, call.args); return false;
    case SYS_userfaultfd: task.memory().may_wait = true; return false;
    case SYS_ioctl:
      if (static_cast<u32>(call.args[1]) == kNewUserfault) task.memory().may_wait = true;
      return false;
    case SYS_mount:
    case SYS_umount2:
    case SYS_fsopen:
    case SYS_move_mount: file_systems_.forget(); return false;
    case SYS_unshare:
      if (call.args[0] & kOtherNames) decider_.leave_alone(task);
      task.facts_fresh = false;
      return false;
    case SYS_setns:
      if (call.args[1] == 0 || (call.args[1] & kOtherNames)) decider_.leave_alone(task);
      file_systems_.forget();
      task.facts_fresh = false;
      return false;
    case SYS_mmap:
      note_waiting_file(task, call);
      pending.maps_text = !(call.args[3] & MAP_ANONYMOUS) && env_.traps.wants_mapping(task.tid(), call.args[2]);
      return false;
    case SYS_sched_getaffinity:
    case SYS_sched_setaffinity:
      cpu_.asks(task, call.number, call.args, tasks_);
      pending.shows_cpus = true;
      return false;
    case SYS_seccomp: return install_filter(task, call, pending);
    case SYS_ptrace: note_ptrace(call); return false;
    case SYS_prctl:
      if (static_cast<int>(call.args[0]) == PR_SET_SYSCALL_USER_DISPATCH) decider_.leave_alone(task);
      if (install_filter(task, call, pending)) return true;
      [[fallthrough]];
    default:
      if (sets_facts(call.number)) task.facts_fresh = false;
      return false;
  }
}

// The call never reaches the kernel. `number` -1: nobody's business.
void Tracer::answer(TracedTask& task, long number, s64 value) {
  PtRegs& regs = task.regs();
  regs.rax = static_cast<u64>(value);
  if (EventSink* sink = handler_->events(); sink && number >= 0 && report_exit_[number])
    regs.rax = static_cast<u64>(sink->syscall_exited(task, regs, number, value));
  regs.orig_rax = ~u64{0};
  (void)task.resume(PTRACE_CONT);
}

void Tracer::on_syscall(TracedTask& task) {
  if (std::exchange(task.entry_stop, false)) return on_reentry(task);
  end_shelter(task);
  const std::optional<TracedTask::Pending> pending = std::exchange(task.pending, std::nullopt);
  const bool idle = task.was_interrupted || (ends_early(task) && has_signal(task));
  const bool goes_on = idle && resume_interrupted(task, pending);
  if (pending && !goes_on) leave_call(task, *pending);
  widening_.ensure(task);
  go(task);
}

// A call that we restarted begins. If its filters do not stop it, that is all that there is to see of its entry.
void Tracer::on_reentry(TracedTask& task) {
  const u64 number = task.regs().orig_rax;
  if (number >= kSyscallLimit || !task.traced[number]) (void)task.reentered();
  if (task.was_interrupted) (void)task.interrupt();
  go(task);
}

// Our own interrupt, or a signal that has no effect, ended the call that the thread is in: makes it go on as if nothing
// had happened. False: it was in none, or the call has a result.
bool Tracer::resume_interrupted(TracedTask& task, const std::optional<TracedTask::Pending>& pending) {
  PtRegs& regs = task.regs();
  const s64 result = static_cast<s64>(regs.rax);
  TracedTask::Pending whole = pending.value_or(TracedTask::Pending{static_cast<long>(regs.orig_rax), args_of(regs)});
  const bool cut_short = task.was_interrupted && static_cast<s64>(regs.orig_rax) >= 0 && is_partial(task, result);
  if ((!ends_early(task) && !cut_short) || is_interrupted(task)) return false;
  if (whole.restore_args && !whole.shortened && !whole.done) set_args(regs, whole.args);
  unfix_clone_args(task, whole);
  if (cut_short) {
    continue_transfer(task, result);
    regs.rax = whole.done += static_cast<u64>(result);
    task.restart_call(regs.orig_rax);
  } else if (is_restart(result)) {
    if (result == kRestartBlock) task.restartable = whole;
    task.restart_call(result == kRestartBlock ? u64{SYS_restart_syscall} : regs.orig_rax);
  } else {
    const Restart restart = restart_interrupted(task, std::exchange(task.asleep_ns, 0));
    if (restart == Restart::kNo) return false;
    whole.shortened = whole.shortened || restart == Restart::kShortened;
  }
  task.silent_entry = task.entry_stop = true;
  task.unseen_entry = task.unseen_entry || !pending;
  if (whole.shortened || whole.done) {
    // The registers differ from what the program believes until the call is over.
    whole.restore_args = true;
    task.pending = whole;
  }
  return true;
}

// At the exit stop of a call: the caller's, or the first stop of the child that it made.
void Tracer::leave_call(TracedTask& task, const TracedTask::Pending& pending) {
  PtRegs& regs = task.regs();
  s64 result = static_cast<s64>(regs.rax);
  if (pending.done) regs.rax = static_cast<u64>(result = std::max<s64>(result, 0) + static_cast<s64>(pending.done));
  if (pending.restore_args) set_args(regs, pending.args);
  unfix_clone_args(task, pending);
  if (pending.filter) (void)task.call(SYS_munmap, {pending.filter, kFilterSize});
  if (result == kRestartBlock) task.restartable = pending;
  if (pending.handled) {
    Call call{task, pending.number, pending.args};
    result = handler_->exit(call, result);
    regs.rax = static_cast<u64>(result);
  }
  if (pending.maps_text && result >= 0) env_.traps.mappings_changed(task.tid());
  if (sets_facts(pending.number)) task.facts_fresh = false;
  EventSink* const sink = handler_->events();
  if (!sink || pending.number < 0) return;
  if (!report_exit_[pending.number]) return;
  const s64 told = sink->syscall_exited(task, regs, pending.number, result);
  if (told != result) regs.rax = static_cast<u64>(told);
}

void Tracer::on_signal(TracedTask& task, int signal) {
  if (decider_.takes_fault(task, signal)) return;
  if (task.side() == StubSide::kRunning || task.side() == StubSide::kTold) return on_signal_inside(task, signal);
  if (signal != SIGTRAP && signal != SIGSYS && env_.traps.steps_out(task) && !is_fault(task, signal))
    return hold_signal(task);
  if ((task.restarting() || ends_early(task)) && is_ignored(task, signal)) return on_ignored_signal(task, signal);
  if (task.restarting()) task.undo_restart();
  if (std::exchange(task.entry_stop, false) && task.pending) {
    set_args(task.regs(), task.pending->args);
    task.pending.reset();
  }
  task.silent_entry = false;
  if ((signal == SIGTRAP || signal == SIGSYS) && on_own_signal(task, signal)) return;
  pass_signal(task, signal);
  (void)task.resume(PTRACE_CONT, signal);
}

// The signal waits until the call has begun, as it does in a kernel whose programs run before it; or until it is over.
void Tracer::on_signal_inside(TracedTask& task, int signal) {
  if (is_fault(task, signal)) {
    // A program cannot do that; who writes where programs do can.
    note("a fault where a traced process runs programs by itself");
    (void)task.resume(PTRACE_CONT, signal);
    return;
  }
  if (task.side() == StubSide::kTold || env_.traps.let_leave(task.tid(), task.regs().rsp)) task.silent_entry = true;
  hold_signal_until_call(task);
}

// A program that the thread runs by itself asks for what it cannot do there.
void Tracer::on_request(TracedTask& task) {
  InsideRequest request;
  PtRegs& regs = task.regs();
  s64 result = -EFAULT;
  if (EventSink* const sink = handler_->events(); sink && task.read(regs.rdi, &request, sizeof request)) {
    PtRegs shown = regs;
    env_.traps.show_program(task.tid(), shown);
    result = sink->program_asks(task, shown, request.helper, request.cpu, std::to_array(request.arguments));
  }
  answer(task, -1, result);
}

// Untraced, the thread would not even have woken: the call that it ended goes on.
void Tracer::on_ignored_signal(TracedTask& task, int signal) {
  pass_signal(task, signal);
  if (!task.restarting()) (void)resume_interrupted(task, std::nullopt);
  go(task);
}

void Tracer::pass_signal(TracedTask& task, int signal) {
  if (static_cast<s64>(task.regs().rax) == kRestartNoIntr && makes_task(static_cast<long>(task.regs().orig_rax)))
    ++task.fork_restarts;
  if (report_signals_) {
    signal_raised(task, signal);
    signal_delivered(task, signal);
  }
  env_.traps.before_signal(task, is_fault(task, signal));
  if (task.tgid() == root_) root_signals_ |= u64{1} << (signal - 1);
}

bool Tracer::on_own_signal(TracedTask& task, int signal) {
  const Result<siginfo_t> info = task.signal_info();
  if (!info) return true;
  if (signal == SIGSYS) {
    if (info->si_code != SYS_SECCOMP || info->si_errno != kTrapTag) return false;
    on_trapped_call(task, *info);
    return true;
  }
  if (info->si_code == TRAP_HWBKPT) {
    EventSink* const sink = handler_->events();
    if (const auto registers = task.take_watched(); registers && sink) sink->watch_hit(task, *registers);
  } else if (info->si_code <= 0 || !env_.traps.trapped(task)) {
    return false;
  }
  widening_.ensure(task);
  restore_forced(task, SIGTRAP);
  (void)task.resume(PTRACE_CONT, 0);
  return true;
}

// A call that an outer filter denies reached us by SIGSYS. It cannot be run natively: then the denial stands.
void Tracer::on_trapped_call(TracedTask& task, const siginfo_t& info) {
  const long number = info.si_syscall;
  task.regs().orig_rax = static_cast<u64>(number);
  PtRegs& regs = task.regs();
  EventSink* const sink = handler_->events();
  const auto denied = sink && report_entry_[number] ? sink->syscall_entered(task, regs, number) : std::optional<s64>();
  Call call{task, number, args_of(regs)};
  const Reply reply = denied ? Reply::answer(*denied) : started_ ? handler_->enter(call) : Reply::native();
  s64 value = reply.kind == Reply::Kind::kAnswered ? reply.value : -EPERM;
  if (reply.kind == Reply::Kind::kNativeThenExit) value = handler_->exit(call, value);
  regs.orig_rax = ~u64{0};
  widening_.ensure(task);
  restore_forced(task, SIGSYS);
  answer(task, number, value);
}

}  // namespace bpfemu

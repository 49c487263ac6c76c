// SPDX-License-Identifier: Apache-2.0
// A thread's stops: its registers, letting it go on, and system calls run in its name.
#include <elf.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

#include <cstring>

#include "emu/base/bytes.h"
#include "loader/call_args.h"
#include "loader/own_filter.h"
#include "loader/proc_files.h"
#include "loader/stop.h"
#include "loader/task.h"

namespace bpfemu {

namespace {

constexpr u64 kSyscallSize = 2;
constexpr u16 kSyscallBytes = 0x050f;

// What the kernel leaves in rax of a call to be restarted (include/linux/errno.h).
constexpr s64 kRestartSys = -512, kRestartNoIntr = -513, kRestartNoHand = -514, kRestartBlock = -516;

// Where a `syscall` instruction lies in the vDSO, which is the same image in every 64-bit process. 0: there is none.
u64 vdso_syscall_offset() {
  static const u64 offset = [] {
    const auto* image = reinterpret_cast<const u8*>(::getauxval(AT_SYSINFO_EHDR));
    if (!image) return u64{0};
    const auto header = load<Elf64_Ehdr>(image);
    for (int i = 0; i < header.e_phnum; ++i) {
      const auto segment = load<Elf64_Phdr>(image + header.e_phoff + i * sizeof(Elf64_Phdr));
      if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X)) continue;
      for (u64 at = segment.p_offset + header.e_ehsize; at + kSyscallSize <= segment.p_offset + segment.p_filesz; ++at)
        if (load<u16>(image + at) == kSyscallBytes) return at;
    }
    return u64{0};
  }();
  return offset;
}

// Calls that may have to wait for whoever serves a file. The others end by themselves, and whoever has them made need not
// reckon with what others do meanwhile.
bool asks_file_system(long number) {
  switch (number) {
    case SYS_openat:
    case SYS_newfstatat:
    case SYS_fstat:
    case SYS_fchdir:
    case SYS_close:
    case SYS_dup3:
    case SYS_poll:
    case SYS_epoll_wait: return true;
    default: return false;
  }
}

}  // namespace

void TracedTask::stopped(At at) {
  at_ = at;
  ++stops_;
  regs_known_ = false;
  side_ = StubSide::kOutside;
  rseq_cpu_.reset();
  displaced_ = false;
  group_stopped = false;
  was_interrupted = std::exchange(interrupted, false);
}

void TracedTask::executed(std::shared_ptr<Memory> memory) {
  process_->memory = std::move(memory);
  scratch_page_ = 0;
  rseq_.reset();
  rewound_.reset();
}

void TracedTask::gone() {
  at_ = At::kRunning;
  displaced_ = false;
}

PtRegs& TracedTask::regs() {
  if (!regs_known_ && at_ != At::kRunning) {
    if (!env_.os.ptrace(PTRACE_GETREGS, tid_, 0, reinterpret_cast<u64>(&machine_))) machine_ = {};
    known_ = machine_;
    regs_known_ = true;
    if (memory().patched) side_ = env_.traps.leave_stub(tid_, regs_);
    // Programs need not hear of its call again.
    if (side_ == StubSide::kTold) silent_entry = true;
  }
  return regs_;
}

void TracedTask::be_nobody_inside() {
  if (memory().patched && (regs(), is_inside_thread(machine_.gs_base))) machine_.gs_base = 0;
}

bool TracedTask::has_parted() {
  return side() != StubSide::kRunning && known_.orig_rax == kInsideRequestCall && regs().orig_rax == ~u64{0};
}

void TracedTask::as_program(const std::function<void()>& call) {
  if (side() != StubSide::kRunning) return call();
  const PtRegs own = regs();
  env_.traps.show_program(tid_, regs_);
  call();
  regs() = own;
}

Result<void> TracedTask::put(const Machine& machine) {
  if (std::memcmp(&machine, &known_, sizeof machine) == 0) return {};
  TRY(env_.os.ptrace(PTRACE_SETREGS, tid_, 0, reinterpret_cast<u64>(&machine)));
  known_ = machine;
  return {};
}

Result<void> TracedTask::resume(int request, int signal) {
  if (at_ == At::kRunning) return fail(ESRCH);
  return_dumpable();
  if (displaced_ && regs_.orig_rax != ~u64{0}) {
    // The kernel restarts interrupted calls on the way out of the stop that we left long ago: do it in its stead.
    switch (static_cast<s64>(regs_.rax)) {
      case kRestartSys:
      case kRestartNoIntr:
      case kRestartNoHand: restart_call(regs_.orig_rax); break;
      case kRestartBlock: restart_call(SYS_restart_syscall); break;
      default: break;
    }
  }
  if (regs_known_) {
    take_seat(signal);
    if (Result<void> r = put(machine_); !r) return gone(), r;
  }
  if (saved_mask_) {
    set_signal_mask(*saved_mask_);
    saved_mask_.reset();
  }
  if (std::exchange(interrupt_again_, false)) (void)interrupt();
  env_.publish();
  traced_at_resume = traced;
  at_ = At::kRunning;
  displaced_ = false;
  const Result<long> r = env_.os.ptrace(request, tid_, 0, signal);
  if (!r) return std::unexpected(r.error());
  return {};
}

// Where the program sees it, the call itself may not be. Behind one that was made elsewhere the thread finds its way back,
// unless a signal handler is to see where it is.
void TracedTask::take_seat(int signal) {
  const bool behind = asks(regs_.rip - kSyscallSize) == known_.rip - kSyscallSize;
  regs_.rip = behind && signal == 0 ? known_.rip : asks(regs_.rip);
}

u64 TracedTask::asks(u64 call) { return memory().patched ? env_.traps.asks(tid_, call) : call; }

void TracedTask::restart_call(u64 number) {
  PtRegs& r = regs();
  rewound_ = Interrupted{r.rip, r.rax, r.orig_rax};
  r.rip -= kSyscallSize;
  r.rax = number;
  r.orig_rax = ~u64{0};
}

void TracedTask::undo_restart() {
  PtRegs& r = regs();
  r.rip = rewound_->rip;
  r.rax = rewound_->rax;
  r.orig_rax = rewound_->orig_rax;
  rewound_.reset();
}

bool TracedTask::reentered() {
  const bool here = std::exchange(silent_entry, false);
  rewound_.reset();
  return here;
}

Result<siginfo_t> TracedTask::signal_info() {
  siginfo_t info = {};
  TRY(env_.os.ptrace(PTRACE_GETSIGINFO, tid_, 0, reinterpret_cast<u64>(&info)));
  return info;
}

Result<void> TracedTask::set_signal_info(const siginfo_t& info) {
  TRY(env_.os.ptrace(PTRACE_SETSIGINFO, tid_, 0, reinterpret_cast<u64>(&info)));
  return {};
}

Result<u64> TracedTask::signal_mask() {
  u64 mask = 0;
  TRY(env_.os.ptrace(PTRACE_GETSIGMASK, tid_, sizeof mask, reinterpret_cast<u64>(&mask)));
  return mask;
}

Result<void> TracedTask::set_signal_mask(u64 mask) {
  TRY(env_.os.ptrace(PTRACE_SETSIGMASK, tid_, sizeof mask, reinterpret_cast<u64>(&mask)));
  return {};
}

Result<void> TracedTask::set_program_mask(u64 mask) {
  if (saved_mask_) return saved_mask_ = mask, Result<void>{};
  return set_signal_mask(mask);
}

Result<u64> TracedTask::event_message() {
  unsigned long message = 0;
  TRY(env_.os.ptrace(PTRACE_GETEVENTMSG, tid_, 0, reinterpret_cast<u64>(&message)));
  return message;
}

Result<void> TracedTask::interrupt() {
  TRY(env_.os.ptrace(PTRACE_INTERRUPT, tid_, 0, 0));
  interrupted = true;
  return {};
}

Result<void> TracedTask::block_signals() {
  if (saved_mask_) return {};
  saved_mask_ = TRY(signal_mask());
  return set_signal_mask(~u64{0});
}

// The thread's next status. It may never come: a leader that was killed under our hands cannot be waited for before
// its siblings are gone, so this never blocks for good.
Result<Waited> TracedTask::next_status() {
  constexpr int kYields = 200;
  constexpr timespec kPause = {0, 50'000};
  for (int tries = 0;; ++tries) {
    const Result<Waited> waited = env_.os.wait(tid_, false);
    if (!waited || waited->tid != 0) return waited;
    if (tries < kYields) {
      ::sched_yield();
    } else if (is_dead(tid_)) {
      return fail(ESRCH);
    } else {
      if (const Result<Waited> status = await_status(); status) return status;
      ::nanosleep(&kPause, nullptr);
    }
  }
}

// A call that waits for somebody, such as a FUSE server, holds up nobody else. The tracer's loop brings the status.
Result<Waited> TracedTask::await_status() {
  if (!env_.sleep || !may_wait_ || makes_helper_) return fail(EAGAIN);
  awaiting_ = true;
  status_.reset();
  (void)env_.sleep(*this, [this] { return status_.has_value(); });
  awaiting_ = false;
  if (!status_) return fail(EAGAIN);
  return *status_;
}

// A status in the middle of a remote call. Signals are blocked, so what else stops the thread is SIGSTOP, a group stop
// or an interrupt, which it passes over, or its death. Empty: it goes on, to another status.
Result<std::optional<StopEvent>> TracedTask::sort(Waited waited) {
  const StopEvent event = decode(waited);
  ++stops_;
  interrupted = false;
  int signal = 0;
  switch (event.kind) {
    case StopEvent::Kind::kSyscall:
    case StopEvent::Kind::kSeccomp: return event;
    case StopEvent::Kind::kSignal:
      if (event.value != SIGSTOP) return fail(EFAULT);
      // Taken at once: a SIGCONT that comes while we hold it back could not undo it.
      signal = SIGSTOP;
      break;
    case StopEvent::Kind::kGroupStop: interrupt_again_ = true; break;
    case StopEvent::Kind::kTrap: break;
    case StopEvent::Kind::kClone:
      if (makes_helper_) {
        helper_ = static_cast<pid_t>(TRY(event_message()));
        break;
      }
      [[fallthrough]];
    default:
      gone();
      note_stop(*this, event);
      env_.postponed.push_back(event);
      return fail(ESRCH);
  }
  if (!env_.os.ptrace(PTRACE_SYSCALL, tid_, 0, signal)) return gone(), fail(ESRCH);
  return std::nullopt;
}

// Waits for the end of one step of a remote call.
Result<StopEvent> TracedTask::await() {
  for (;;) {
    const Result<Waited> waited = next_status();
    if (!waited) return gone(), fail(ESRCH);
    if (const auto event = TRY(sort(*waited))) return *event;
  }
}

Result<StopEvent> TracedTask::step(int request) {
  if (!env_.os.ptrace(request, tid_, 0, 0)) return gone(), fail(ESRCH);
  return await();
}

Result<u64> TracedTask::syscall_instruction() {
  const u64 offset = vdso_syscall_offset();
  if (memory().vdso && offset) return memory().vdso + offset;
  // Its memory may be closed to us, but here it has just run one.
  if (at_ == At::kSeccomp && regs_.orig_rax < kSyscallLimit) return asks(regs_.rip - kSyscallSize);
  u16 bytes = 0;
  if (regs_.orig_rax != ~u64{0} && read(regs_.rip - kSyscallSize, &bytes, sizeof bytes) && bytes == kSyscallBytes)
    return asks(regs_.rip - kSyscallSize);
  return fail(ENOSYS);
}

// Brings the thread to where `number` is entered: the next PTRACE_SYSCALL runs it.
Result<void> TracedTask::begin_call(long number, const std::array<u64, 6>& args) {
  if (memory().compat) return fail(ENOSYS);
  if (at_ == At::kRunning || at_ == At::kInside || at_ == At::kExiting) return fail(ESRCH);
  env_.publish();
  const std::array<u64, 6> ours = marked(number, args, env_.secret);
  regs();
  Machine m = machine_;
  set_args(m, ours);
  if (at_ == At::kSeccomp && !displaced_) {
    // The call that stopped here becomes ours: the kernel looks at the number again, and lets a second RET_TRACE pass.
    m.orig_rax = number;
    TRY(put(m));
    displaced_ = true;
    return {};
  }
  if (at_ == At::kExec && !displaced_) {
    TRY(step(PTRACE_SYSCALL));
    at_ = At::kSyscallExit;
    regs_known_ = false;
    m = (regs(), machine_);
    set_args(m, ours);
  }
  TRY(block_signals());
  m.rip = TRY(syscall_instruction());
  m.rax = number;
  m.orig_rax = ~u64{0};
  TRY(put(m));
  displaced_ = true;
  TRY(step(PTRACE_SYSCALL));
  known_ = {};
  return {};
}

// At the exit stop of the remote call.
Result<u64> TracedTask::finish_call() {
  if (!env_.os.ptrace(PTRACE_GETREGS, tid_, 0, reinterpret_cast<u64>(&known_))) return gone(), fail(ESRCH);
  return from_return(static_cast<s64>(known_.rax));
}

Result<u64> TracedTask::call(long number, std::array<u64, 6> args) {
  TRY(begin_call(number, args));
  may_wait_ = asks_file_system(number);
  Result<StopEvent> stop = step(PTRACE_SYSCALL);
  while (stop && stop->kind == StopEvent::Kind::kSeccomp) stop = step(PTRACE_SYSCALL);
  may_wait_ = false;
  if (!stop) return fail(stop.error().value);
  return finish_call();
}

// The memory of a program that its user may not read is closed to us too, until it says otherwise itself.
bool TracedTask::borrow_dumpable() {
  if (borrowed_dumpable_) return false;
  borrowed_dumpable_ = true;  // what the call below reads by itself gives no loop
  borrowed_dumpable_ = call(SYS_prctl, {PR_SET_DUMPABLE, 1}).has_value();
  return borrowed_dumpable_;
}

void TracedTask::return_dumpable() {
  if (borrowed_dumpable_) (void)call(SYS_prctl, {PR_SET_DUMPABLE, 0});
  borrowed_dumpable_ = false;
}

Result<void> TracedTask::rewind_to_call() {
  return_dumpable();
  TRY(block_signals());
  Machine m = machine_;
  m.rip = asks(m.rip - kSyscallSize);
  m.rax = m.orig_rax;
  m.orig_rax = ~u64{0};
  TRY(put(m));
  while (TRY(step(PTRACE_CONT)).kind != StopEvent::Kind::kSeccomp) continue;
  if (!env_.os.ptrace(PTRACE_GETREGS, tid_, 0, reinterpret_cast<u64>(&known_))) return gone(), fail(ESRCH);
  displaced_ = false;
  TRY(set_signal_mask(*saved_mask_));
  saved_mask_.reset();
  return {};
}

}  // namespace bpfemu

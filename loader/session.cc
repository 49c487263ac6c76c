// SPDX-License-Identifier: Apache-2.0
#include "loader/session.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace bpfemu {

namespace {

// Signals to bpfemu that are meant for the command: all but those that nobody can hold back, that mean the supervisor's
// own children, terminal and limits, that do nothing, and that glibc (32, 33) and the waker use. A terminal sends its
// own to both. A fault of our own ends us whether or not its signal is blocked.
constexpr int kNotPassedOn[] = {SIGKILL, SIGSTOP,  SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD,
                                SIGURG,  SIGWINCH, SIGPIPE, SIGXCPU, SIGXFSZ, 32,      33};
constexpr u64 kDelay = 20'000'000;

u64 passed_on_mask() {
  u64 mask = ~u64{0} & ~(u64{1} << (Waker::kick_signal() - 1));
  for (int signal : kNotPassedOn) mask &= ~(u64{1} << (signal - 1));
  return mask;
}

// A bpfemu above us answers this call; no kernel gives getpid an error.
bool nested() {
  return ::syscall(SYS_getpid, kPresence) < 0 && errno == kPresenceErrno;
}

Secret draw_secret() {
  Secret secret = {};
  if (::getrandom(&secret, sizeof secret, 0) != sizeof secret)
    secret = {kPresence ^ ~u64{0}, static_cast<u64>(::getpid())};
  // Its high word must be no program's: neither 0 nor that of a negative number.
  secret.first = (secret.first & ~(u64{1} << 63)) | u64{1} << 62;
  return secret;
}

// The supervisor holds a descriptor for every emulated object and memory for all tools, and must survive what kills a
// careless program. The command's limits are as they were (Inherited).
void harden() {
  for (int signal : {SIGPIPE, SIGXFSZ, SIGXCPU}) ::signal(signal, SIG_IGN);
  for (const auto kind : {RLIMIT_NOFILE, RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_AS, RLIMIT_DATA}) {
    rlimit limit;
    if (::getrlimit(kind, &limit) != 0) continue;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(kind, &limit);
  }
}

// execvp says EACCES when it may not look into some folder of PATH, too.
bool exists(const std::string& name) {
  const char* const path = ::getenv("PATH");
  if (name.find('/') != std::string::npos || !path) return true;
  std::istringstream folders(path);
  for (std::string folder; std::getline(folders, folder, ':');)
    if (::access((folder + "/" + name).c_str(), F_OK) == 0) return true;
  return false;
}

Outcome failure(Spawn& spawn, const std::string& name, int error) {
  using Kind = Outcome::Kind;
  if (spawn.failure() != Spawn::Failure::kExec) return {Kind::kFailed, error};
  if (error == EACCES && !exists(name)) error = ENOENT;
  return {error == ENOENT || error == ENOTDIR ? Kind::kNotFound : Kind::kNotExecutable, error};
}

}  // namespace

Session::Session(TrapHandler& traps)
    : inherited_(Inherited::take()),
      env_{os_, traps, draw_secret(), -1, {}, -1, {}},
      tasks_(env_),
      widening_(env_, tasks_),
      tracer_(env_, tasks_, widening_),
      host_(tasks_, widening_, waker_) {
  host_.set_tracer(&tracer_);
  traps.on_memory([this](pid_t tid) {
    const TracedTask* const task = tasks_.find(tid);
    return task && task->memory().may_wait;
  });
  traps.on_first_site([this] { tracer_.look_at_mappings(); });
  harden();
}

Outcome Session::run(const Command& command, const Root& root, const SyscallSet& traced, const SyscallSet& outer_denied,
                     CallHandler& handler, std::function<void(std::string_view)> note) {
  using Kind = Outcome::Kind;
  if (nested()) return {Kind::kNested, 0};
  FilterSpec base;
  base.trace = traced;
  base.base = true;
  base.decided = command.hot != 0;
  base.secret = &env_.secret;
  Result<Spawn> spawn = Spawn::start(command.argv, root, base, outer_denied, inherited_);
  if (!spawn) return {Kind::kFailed, spawn.error().value};
  const pid_t first = spawn->pid();
  tracer_.wait_for_all = command.wait_all;
  tracer_.decider().hot = command.hot;
  tracer_.note = std::move(note);
  const UniqueFd memory_ready(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  // Before anything stops: a program that is served by somebody is waited for at its very exec.
  if (Result<void> r = start_waker(first, memory_ready.get()); !r) {
    ::kill(first, SIGKILL);
    return {Kind::kFailed, r.error().value};
  }
  if (Result<void> r = tracer_.start(*spawn, fully_traced(base), handler); !r) {
    ::kill(first, SIGKILL);
    const bool denied = spawn->failure() == Spawn::Failure::kNone && r.error().value == EPERM;
    return denied ? Outcome{Kind::kPtraceDenied, EPERM} : failure(*spawn, command.argv.front(), r.error().value);
  }
  host_.set_root(root, first);
  UniqueFd listener = spawn->take_listener();
  env_.listener = listener.get();
  started_(waker_);
  if (command.timeout_ns != 0) waker_.add_timer(command.timeout_ns, 0, [this] { end_all(Kind::kTimedOut); });
  watch_cpu_limit();
  // What we hold is not for those whom we trace, who are of the same user. Without a listener they need it.
  if (listener) ::prctl(PR_SET_DUMPABLE, 0);
  const int status = tracer_.run();
  ::prctl(PR_SET_DUMPABLE, 1);
  env_.listener = -1;
  return cut_off_ ? Outcome{*cut_off_, 0} : Outcome{Kind::kEnded, status};
}

Result<void> Session::start_waker(pid_t first, int memory_ready) {
  TRY(waker_.start(passed_on_mask(), [this, first](const auto& info) { pass_on(info, first); }));
  env_.memory_ready = memory_ready;
  TRY(waker_.watch(memory_ready, [this] {
    u64 count = 0;
    if (::read(env_.memory_ready, &count, sizeof count) == sizeof count) tracer_.long_calls().wake();
  }));
  tracer_.cpu().start_looking = [this] {
    look_timer_ = waker_.add_timer(CpuFollower::kLookEvery, CpuFollower::kLookEvery, [this] {
      if (!tracer_.cpu().look()) waker_.cancel_timer(look_timer_);
    });
  };
  tracer_.later = [this](u64 ns, auto call) { waker_.add_timer(ns, 0, std::move(call)); };
  tracer_.attend = [this] {
    if (waker_.pending()) waker_.attend();
  };
  return {};
}

// A hard RLIMIT_CPU can neither be raised nor handed to another tracer, and the kernel kills whoever has used it: we
// end in order just before.
void Session::watch_cpu_limit() {
  constexpr u64 kSecond = 1'000'000'000, kLastMoment = 50'000'000, kThreads = 2;
  rlimit limit;
  if (::getrlimit(RLIMIT_CPU, &limit) != 0 || limit.rlim_max == RLIM_INFINITY) return;
  const u64 used = host_.clock(CLOCK_PROCESS_CPUTIME_ID);
  const u64 last = std::min<u64>(limit.rlim_max, ~u64{0} / kSecond) * kSecond - kLastMoment;
  if (used >= last) return end_all(Outcome::Kind::kOutOfCpu);
  waker_.add_timer((last - used) / kThreads + 1, 0, [this] { watch_cpu_limit(); });
}

// One that went to our whole process group has reached the command by itself: wait a moment and see.
void Session::pass_on(const signalfd_siginfo& info, pid_t first) {
  const int signal = static_cast<int>(info.ssi_signo);
  if (info.ssi_code == SI_KERNEL) return;
  waker_.add_timer(kDelay, 0, [this, signal, first] {
    if (!tracer_.delivered_to_root(signal)) ::kill(first, signal);
    tracer_.forget_root_signals();
  });
}

}  // namespace bpfemu

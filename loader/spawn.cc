// SPDX-License-Identifier: Apache-2.0
#include "loader/spawn.h"

#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <utility>

#include "loader/root_way.h"

namespace bpfemu {

// Shared by supervisor and child.
struct SpawnPage {
  std::atomic<int> go;
  int listener;
  Spawn::Failure failure;
  int error;
  bool trapped[kSyscallLimit];
};

namespace {

constexpr int kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                         PTRACE_O_TRACEEXEC | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT | PTRACE_O_TRACESECCOMP |
                         PTRACE_O_EXITKILL;

long install(const std::vector<sock_filter>& code, unsigned flags) {
  sock_fprog program{static_cast<unsigned short>(code.size()), const_cast<sock_filter*>(code.data())};
  long r = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (r < 0 && errno == EACCES) {
    // Without CAP_SYS_ADMIN the kernel wants this first; with it, setuid programs keep working.
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    r = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  }
  return r;
}

// With a listener if there can be one: an outer one excludes ours, old kernels lack the killable wait.
long install_base(FilterSpec base) {
  const std::vector<sock_filter> code = build_filter(base);
  for (unsigned flags :
       {SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, SECCOMP_FILTER_FLAG_NEW_LISTENER}) {
    const long listener = install(code, flags);
    if (listener >= 0) return listener;
  }
  base.secret = nullptr;
  return install(build_filter(base), 0) < 0 ? -errno : -EBUSY;
}

struct Child {
  const std::vector<std::string>& argv;
  const Root& root;
  const FilterSpec& base;
  const SyscallSet& probes;
  const Inherited& inherited;
  SpawnPage& page;

  [[noreturn]] void die(Spawn::Failure failure) {
    page.error = errno;
    page.failure = failure;
    ::_exit(127);
  }

  // First: with the namespace's capabilities filters need no no_new_privs.
  void enter() {
    const Result<void> entered = enter_user_namespace(root.uid, root.gid);
    if (entered) return;
    errno = entered.error().value;
    die(Spawn::Failure::kRoot);
  }

  void filter() {
    const long listener = install_base(base);
    page.listener = static_cast<int>(listener);
    if (listener < 0 && listener != -EBUSY) {
      errno = static_cast<int>(-listener);
      die(Spawn::Failure::kFilter);
    }
    FilterSpec traps;
    for (size_t number = 0; number < kSyscallLimit; ++number)
      if (probes[number] && ::syscall(static_cast<long>(number), Spawn::kProbeMagic, 0, 0, 0, 0) != Spawn::kProbeAnswer)
        traps.trap.set(number), page.trapped[number] = true;
    if (traps.trap.any() && install(build_filter(traps), 0) < 0) die(Spawn::Failure::kFilter);
  }

  [[noreturn]] void run() {
    while (!page.go.load()) ::syscall(SYS_futex, &page.go, FUTEX_WAIT, 0, nullptr, nullptr, 0);
    if (root.way == RootWay::kNamespace) enter();
    filter();
    inherited.restore();
    std::vector<char*> words;
    for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    die(Spawn::Failure::kExec);
  }
};

}  // namespace

Inherited Inherited::take() {
  Inherited now = {};
  for (int kind = 0; kind < RLIM_NLIMITS; ++kind) ::getrlimit(static_cast<__rlimit_resource_t>(kind), &now.limits[kind]);
  ::sigprocmask(SIG_SETMASK, nullptr, &now.mask);
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, nullptr, &now.actions[signal]);
  return now;
}

void Inherited::restore() const {
  for (int kind = 0; kind < RLIM_NLIMITS; ++kind) ::setrlimit(static_cast<__rlimit_resource_t>(kind), &limits[kind]);
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &actions[signal], nullptr);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
}

Result<Spawn> Spawn::start(const std::vector<std::string>& argv, const Root& root, FilterSpec base,
                           const SyscallSet& probes, const Inherited& inherited) {
  void* memory = ::mmap(nullptr, sizeof(SpawnPage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail(errno);
  auto* page = new (memory) SpawnPage{};
  page->listener = -1;
  const long pid = ::syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
  if (pid < 0) {
    const int error = errno;
    ::munmap(page, sizeof *page);
    return fail(error);
  }
  if (pid == 0) Child{argv, root, base, probes, inherited, *page}.run();
  return Spawn(static_cast<pid_t>(pid), page);
}

Spawn::Spawn(Spawn&& other) noexcept : pid_(other.pid_), page_(std::exchange(other.page_, nullptr)) {}

Spawn::~Spawn() {
  if (page_) ::munmap(page_, sizeof *page_);
}

Result<void> Spawn::seize(TraceOs& os) {
  TRY(os.ptrace(PTRACE_SEIZE, pid_, 0, kOptions));
  page_->go = 1;
  ::syscall(SYS_futex, &page_->go, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  return {};
}

Spawn::Failure Spawn::failure() const {
  return page_->failure;
}
int Spawn::error() const {
  return page_->error;
}
UniqueFd Spawn::take_listener() {
  return UniqueFd(std::exchange(page_->listener, -1));
}

SyscallSet Spawn::trapped() const {
  SyscallSet set;
  for (size_t number = 0; number < kSyscallLimit; ++number) set[number] = page_->trapped[number];
  return set;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// A descriptor of ours brought into a thread: getpid(secret) waits for the listener, which answers it with one.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <algorithm>

#include "loader/forced_signal.h"
#include "loader/proc_files.h"
#include "loader/task.h"

namespace bpfemu {

namespace {

// How long to wait for the listener between two looks at the thread, whose stops and death it does not show. Who stops
// the thread once is likely to do it again soon: then we look often before we sleep.
constexpr int kBusyLooks = 50;
constexpr long kFirstNap = 20'000, kLongestNap = 5'000'000;

timespec nap(int look) {
  return {0, look < kBusyLooks ? 0 : std::min(kFirstNap << std::min(look - kBusyLooks, 8), kLongestNap)};
}

// A notification is answered once; one that nobody waits for any more is ENOENT, which does no harm. A signal to us, such
// as the waker's, ends the wait for the thread that has just seen its descriptor refused.
bool refuse(int listener, u64 id, int error) {
  seccomp_notif_resp response = {};
  response.id = id;
  response.error = -error;
  int sent;
  do {
    sent = ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
  } while (sent != 0 && errno == EINTR);
  return sent == 0;
}

// The thread's notification when it is there. One of another thread is a remnant: its thread was killed.
std::optional<u64> receive(int listener, pid_t tid, const timespec& patience) {
  pollfd ready{listener, POLLIN, 0};
  if (::ppoll(&ready, 1, &patience, nullptr) <= 0 || !(ready.revents & POLLIN)) return {};
  seccomp_notif request = {};
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) return {};
  if (static_cast<pid_t>(request.pid) == tid) return request.id;
  refuse(listener, request.id, ESRCH);
  return {};
}

}  // namespace

// Any signal, even one that is ignored, ends the wait for the listener until it has looked, and one that came before we
// blocked it still counts. Then the kernel starts the call over, this time with all signals blocked.
Result<u64> TracedTask::await_notification() {
  bool inside = true;
  for (int look = kBusyLooks;; ++look) {
    if (look < kBusyLooks) ::sched_yield();
    if (const std::optional<u64> id = receive(env_.listener, tid_, nap(look))) return *id;
    const Result<Waited> waited = env_.os.wait(tid_, false);
    if (!waited || (waited->tid == 0 && is_dead(tid_))) return gone(), fail(ESRCH);
    if (waited->tid == 0) continue;
    look = 0;
    const std::optional<StopEvent> event = TRY(sort(*waited));
    if (!event) continue;
    if (event->kind == StopEvent::Kind::kSyscall) {
      // A filter of the program's own may have answered.
      if (inside && !is_restart(as_return(finish_call()))) return fail(ENOSYS);
      inside = !inside;
      TRY(block_signals());
    }
    if (!env_.os.ptrace(PTRACE_SYSCALL, tid_, 0, 0)) return gone(), fail(ESRCH);
  }
}

Result<int> TracedTask::notify_fd(int fd, bool cloexec) {
  for (;;) {
    TRY(begin_call(SYS_getpid, {env_.secret.first, env_.secret.second}));
    if (!env_.os.ptrace(PTRACE_SYSCALL, tid_, 0, 0)) return gone(), fail(ESRCH);
    seccomp_notif_addfd add = {};
    add.id = TRY(await_notification());
    add.flags = SECCOMP_ADDFD_FLAG_SEND;
    add.srcfd = fd;
    add.newfd_flags = cloexec ? O_CLOEXEC : 0;
    const bool added = ::ioctl(env_.listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0;
    const bool answered = added || refuse(env_.listener, add.id, errno);
    TRY(await());
    if (answered) return static_cast<int>(TRY(finish_call()));
    // A signal to us, such as the waker's, took the descriptor back after the reply, 0, had been made; or, on kernels
    // where a signal ends that wait too, there was nobody left to answer.
  }
}

// Without a listener the thread opens our descriptor by its path.
Result<int> TracedTask::open_fd(int fd, bool cloexec) {
  const std::string path = fmt::format("/proc/{}/fd/{}", ::getpid(), fd);
  const int mode = ::fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK);
  const u64 at = TRY(scratch(path.size() + 1));
  TRY(write(at, path.c_str(), path.size() + 1));
  const u64 flags = mode | (cloexec ? O_CLOEXEC : 0);
  return static_cast<int>(TRY(call(SYS_openat, {static_cast<u64>(AT_FDCWD), at, flags})));
}

Result<int> TracedTask::install_fd(int fd, bool cloexec) {
  return env_.listener >= 0 ? notify_fd(fd, cloexec) : open_fd(fd, cloexec);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Signals and waiting.
#include "tests/oracle/events/steps.h"

#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>

#include <cerrno>

namespace events {
namespace {

pid_t self() { return static_cast<pid_t>(call(SYS_getpid)); }

void handler(int) {}

void to_itself() {
  struct sigaction action{}, before{};
  action.sa_handler = handler;
  sigaction(SIGUSR1, &action, &before);
  call(SYS_kill, self(), SIGUSR1);
  call(SYS_tgkill, self(), call(SYS_gettid), SIGUSR1);
  call(SYS_tkill, call(SYS_gettid), SIGUSR1);
  call(SYS_kill, self(), 0);
  call(SYS_kill, self(), 99);
  sigaction(SIGUSR1, &before, nullptr);
}

void ignored() {
  struct sigaction action{}, before{};
  action.sa_handler = SIG_IGN;
  sigaction(SIGUSR2, &action, &before);
  call(SYS_kill, self(), SIGUSR2);
  sigaction(SIGUSR2, &before, nullptr);
  call(SYS_kill, self(), SIGCHLD);
}

void blocked() {
  u64 set = 1ul << (SIGUSR1 - 1), old = 0;
  struct sigaction action{}, before{};
  action.sa_handler = handler;
  sigaction(SIGUSR1, &action, &before);
  call(SYS_rt_sigprocmask, SIG_BLOCK, &set, &old, 8);
  call(SYS_kill, self(), SIGUSR1);
  call(SYS_kill, self(), SIGUSR1);
  siginfo_t info{};
  info.si_code = SI_QUEUE;
  info.si_value.sival_int = 7;
  call(SYS_rt_sigprocmask, SIG_SETMASK, &old, 0L, 8);
  call(SYS_rt_sigqueueinfo, self(), SIGUSR1, &info);
  sigaction(SIGUSR1, &before, nullptr);
}

// The child says when it is there, and is asleep when the signal comes.
void to_a_child() {
  for (const int number : {SIGTERM, SIGKILL}) {
    int ends[2];
    char byte;
    call(SYS_pipe2, ends, 0);
    const pid_t child = static_cast<pid_t>(call(SYS_fork));
    if (child == 0) {
      call(SYS_close, ends[0]);
      const int end = ends[1] + 10;
      call(SYS_dup2, ends[1], end);
      call(SYS_close, ends[1]);
      call(SYS_write, end, "x", 1);
      call(SYS_close, end);
      call(SYS_pause);
    }
    call(SYS_read, ends[0], &byte, 1);
    pause_shortly();
    call(SYS_kill, child, number);
    int status;
    call(SYS_wait4, child, &status, 0, 0L);
    call(SYS_kill, child, number);
    call(SYS_close, ends[0]);
    call(SYS_close, ends[1]);
  }
}

void sleeps() {
  const timespec nothing{}, little{0, 2'000'000};
  call(SYS_nanosleep, &little, 0L);
  call(SYS_nanosleep, &nothing, 0L);
  call(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &little, 0L);
  const timespec wrong{0, -1};
  call(SYS_nanosleep, &wrong, 0L);
}

void waits() {
  int ends[2];
  call(SYS_pipe2, ends, 0);
  pollfd ready{ends[1], POLLOUT, 0}, idle{ends[0], POLLIN, 0};
  call(SYS_poll, &ready, 1, 100);
  call(SYS_poll, &idle, 1, 0);
  call(SYS_poll, &idle, 1, 2);
  const int set = static_cast<int>(call(SYS_epoll_create1, 0));
  epoll_event event{};
  event.events = EPOLLIN;
  call(SYS_epoll_ctl, set, EPOLL_CTL_ADD, ends[0], &event);
  call(SYS_epoll_wait, set, &event, 1, 0);
  call(SYS_write, ends[1], "x", 1);
  call(SYS_epoll_wait, set, &event, 1, -1);
  call(SYS_close, set);
  call(SYS_close, ends[0]);
  call(SYS_close, ends[1]);
}

void futexes() {
  u32 word = 1;
  const timespec little{0, 2'000'000};
  call(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, 0L, 0L, 0);
  call(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, &little, 0L, 0);
  call(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, 0L, 0L, 0);
}

constexpr Step kSteps[] = {
    {"signals", to_itself}, {"ignored signals", ignored}, {"blocked signals", blocked},
    {"signals to a child", to_a_child}, {"sleeps", sleeps}, {"waits", waits}, {"futexes", futexes},
};

}  // namespace

void pause_shortly() {
  const timespec long_enough{0, 50'000'000};
  call(SYS_nanosleep, &long_enough, 0L);
}

std::span<const Step> signal_steps() { return kSteps; }

}  // namespace events

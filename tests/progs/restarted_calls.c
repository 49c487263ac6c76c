// SPDX-License-Identifier: Apache-2.0
// Hard cases 8 and 23: calls that a stop interrupts go on as if nothing had happened, for the time that is left.
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "check.h"

static void nothing(int signal) {
  (void)signal;
}

// Every case waits 300 ms for something that does not come. On a busy machine that takes longer, but not for ever.
static const double kEndless = 60;
static int wait_nanosleep(void) {
  const struct timespec t = {0, 300000000};
  return nanosleep(&t, NULL);
}
static int wait_poll(void) {
  return poll(NULL, 0, 300);
}
static int wait_select(void) {
  struct timeval t = {0, 300000};
  return select(0, NULL, NULL, NULL, &t);
}
static int wait_epoll(void) {
  struct epoll_event event;
  const int fd = epoll_create1(0), r = epoll_wait(fd, &event, 1, 300);
  close(fd);
  return r;
}
static int wait_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  const struct timespec t = {0, 300000000};
  return sigtimedwait(&set, NULL, &t) < 0 && errno == EAGAIN ? 0 : -1;
}
static int wait_futex(void) {
  int word = 0;
  const struct timespec t = {0, 300000000};
  return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0) < 0 && errno == ETIMEDOUT ? 0 : -1;
}
static int wait_receive(void) {
  int ends[2];
  char byte;
  const struct timeval t = {0, 300000};
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  const int r = recv(ends[0], &byte, 1, 0) < 0 && errno == EAGAIN ? 0 : -1;
  close(ends[0]), close(ends[1]);
  return r;
}

static struct {
  const char* name;
  int (*wait)(void);
} cases[] = {{"nanosleep", wait_nanosleep}, {"poll", wait_poll},   {"select", wait_select}, {"epoll_wait", wait_epoll},
             {"sigtimedwait", wait_signal}, {"futex", wait_futex}, {"recv", wait_receive}};

// A child makes an ignored signal for us every 20 ms: it must not even be noticed.
static void with_ignored_signals(int (*wait)(void), const char* name) {
  const pid_t self = getpid(), child = fork();
  if (child == 0) {
    for (int i = 0; i < 5; ++i) {
      sleep_ms(20);
      kill(self, SIGWINCH);
      kill(self, SIGUSR1);
    }
    _exit(0);
  }
  const double start = seconds();
  const int r = wait();
  const double took = seconds() - start;
  printf("%s among ignored signals: %d%s\n", name, r,
         took < 0.29       ? ", too short"
         : took > kEndless ? ", too long"
                           : "");
  ended(child);
}

// Stopped and continued in the middle.
static void with_stop(int (*wait)(void), const char* name) {
  const double start = seconds();
  const pid_t child = fork();
  if (child == 0) _exit(wait() == 0 ? 5 : 1);
  sleep_ms(100);
  kill(child, SIGSTOP);
  sleep_ms(20);
  kill(child, SIGCONT);
  const int status = ended(child);
  const double took = seconds() - start;
  printf("%s stopped: %d%s\n", name, status, took < 0.29 ? ", too short" : took > kEndless ? ", too long" : "");
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGUSR1, SIG_IGN);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) with_ignored_signals(cases[i].wait, cases[i].name);
  for (size_t i = 0; i < 3; ++i) with_stop(cases[i].wait, cases[i].name);

  // A handled one does interrupt. It comes again and again, because the first may be over before the call begins.
  struct sigaction action = {.sa_handler = nothing};
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval soon = {{0, 50000}, {0, 50000}}, never = {{0, 0}, {0, 0}};
  for (size_t i = 0; i < 4; ++i) {
    setitimer(ITIMER_REAL, &soon, NULL);
    errno = 0;
    const int r = cases[i].wait(), error = errno;
    setitimer(ITIMER_REAL, &never, NULL);
    printf("%s handled: %d %s\n", cases[i].name, r, error == EINTR ? "EINTR" : "?");
  }
  setitimer(ITIMER_REAL, &soon, NULL);
  errno = 0;
  const int paused = pause();
  printf("pause: %d %s\n", paused, errno == EINTR ? "EINTR" : "?");
}

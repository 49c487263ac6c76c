// SPDX-License-Identifier: Apache-2.0
// Hard cases 7 and 22: storms of signals, with their data, while calls stop, are answered and children are made.
#include "check.h"

static volatile sig_atomic_t alarms, queued, wrong, last = -1;

static void on_alarm(int signal) {
  (void)signal;
  ++alarms;
}

static void on_queued(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  if (info->si_code != SI_QUEUE || info->si_value.sival_int != last + 1 || info->si_pid != getppid()) ++wrong;
  last = info->si_value.sival_int;
  ++queued;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  sigaction(SIGPROF, &action, NULL);
  const struct itimerval every = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};

  const pid_t receiver = fork();
  if (receiver == 0) {
    struct sigaction info = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGRTMIN, &info, NULL);
    while (queued < 500) {
      const int fd = open("/dev/null", O_RDONLY);
      if (fd < 0) ++wrong;
      close(fd);
    }
    _exit(queued == 500 && wrong == 0 ? 2 : 1);
  }
  sleep_ms(50);
  for (int i = 0; i < 500; ++i) {
    union sigval value = {.sival_int = i};
    while (sigqueue(receiver, SIGRTMIN, value) != 0) sleep_ms(1);
  }
  CHECK(ended(receiver) == 2);

  // Counted, not timed: a busy machine takes longer, a livelock never gets there.
  setitimer(ITIMER_REAL, &every, NULL);
  setitimer(ITIMER_PROF, &every, NULL);
  int failures = 0;
  for (int children = 0; children < 30 || alarms < 30; ++children) {
    const int fd = open("/dev/null", O_RDONLY);
    if (fd < 0) ++failures;
    close(fd);
    const pid_t child = fork();
    if (child == 0) _exit(8);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (child < 0 || WEXITSTATUS(status) != 8) ++failures;
  }
  setitimer(ITIMER_REAL, &never, NULL);
  setitimer(ITIMER_PROF, &never, NULL);
  CHECK(failures == 0);
  printf("done\n");
}

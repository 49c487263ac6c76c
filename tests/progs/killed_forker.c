// SPDX-License-Identifier: Apache-2.0
// Children of a process that is killed while it forks go to a subreaper that lives: all of them run and end.
#include <sys/prctl.h>

#include "check.h"

enum { kRounds = 120 };

static _Noreturn void fork_for_ever(void) {
  for (;;) {
    const pid_t child = fork();
    if (child == 0) _exit(5);
    if (child > 0 && waitpid(child, NULL, WNOHANG) < 0) _exit(1);
  }
}

int main(void) {
  CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  alarm(60);  // one that stands still for good
  int killed = 0, bad = 0;
  for (int i = 0; i < kRounds; ++i) {
    const pid_t forker = fork();
    if (forker == 0) fork_for_ever();
    for (int spins = 0; spins < i % 10; ++spins) sched_yield();
    usleep(i * 37 % 1500);
    kill(forker, SIGKILL);
    int status;
    for (pid_t pid; (pid = wait(&status)) > 0;) {
      if (pid == forker) killed += WIFSIGNALED(status);
      else bad += !WIFEXITED(status) || WEXITSTATUS(status) != 5;
    }
    CHECK(errno == ECHILD);
  }
  CHECK(bad == 0);
  printf("%d killed\n", killed);
}

// SPDX-License-Identifier: Apache-2.0
// Hard case 2: a stopped process stands still, all of it, until SIGCONT, and its parent hears of both.
#include "check.h"

static atomic_long* counter;

static void* count(void* unused) {
  for (;;) {
    ++*counter;
    syscall(SYS_getppid);
  }
  return unused;
}

int main(void) {
  counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const int stops[] = {SIGSTOP, SIGTSTP, SIGTTIN};
  for (int i = 0; i < 3; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      setpgid(0, 0);
      signal(SIGTSTP, SIG_DFL);
      pthread_t thread;
      pthread_create(&thread, NULL, count, NULL);
      count(NULL);
    }
    setpgid(child, child);
    sleep_ms(50);
    int status = 0;
    kill(child, stops[i]);
    CHECK(waitpid(child, &status, WUNTRACED) == child);
    // An orphaned group ignores all stops but SIGSTOP: here the parent is alive, so it is none.
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == stops[i]);
    sleep_ms(20);
    const long before = *counter;
    sleep_ms(50);
    CHECK(*counter == before);
    kill(child, SIGCONT);
    CHECK(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
    for (int tries = 0; *counter == before && tries < 6000; ++tries) sleep_ms(10);
    CHECK(*counter > before);
    kill(child, SIGKILL);
    CHECK(ended(child) == -SIGKILL);
  }
  printf("done\n");
}

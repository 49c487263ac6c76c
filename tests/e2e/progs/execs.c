// SPDX-License-Identifier: Apache-2.0
// Runs programs in every way: by path, by descriptor, through a script, from a thread.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static char *arguments[] = {"true", 0};

static void *run_true(void *unused) {
  (void)unused;
  execv("/bin/true", arguments);
  return 0;
}

int main(void) {
  if (fork() == 0) {
    setpriority(PRIO_PROCESS, 0, 5);
    execv("/bin/true", arguments);
  }
  wait(0);
  if (fork() == 0) execl("./script", "script", (char *)0);
  wait(0);
  if (fork() == 0) fexecve(open("/bin/true", O_RDONLY), arguments, environ);
  wait(0);
  if (fork() == 0) {
    pthread_t thread;
    pthread_create(&thread, 0, run_true, 0);
    for (;;) pause();
  }
  wait(0);
  return 0;
}

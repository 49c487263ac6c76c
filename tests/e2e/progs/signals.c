// SPDX-License-Identifier: Apache-2.0
// Signals to oneself, to others, of children and of calls that go wrong. Every process has a name of its own.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void handler(int signal) { (void)signal; }

static void child(const char *name, void (*run)(void)) {
  int pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NAME, name);
    run();
    _exit(0);
  }
  waitpid(pid, 0, 0);
}

static void kill_self(void) { raise(SIGKILL); }
static void fault(void) { *(volatile int *)1 = 1; }
static void group(void) {
  setpgid(0, 0);
  signal(SIGUSR1, handler);
  kill(0, SIGUSR1);
}
static void ignored(void) {
  signal(SIGUSR2, SIG_IGN);
  kill(getpid(), SIGUSR2);
  kill(getpid(), SIGCONT);
}
static void pending(void) {
  sigset_t set;
  sigfillset(&set);
  sigprocmask(SIG_BLOCK, &set, 0);
  kill(getpid(), SIGTERM);
  kill(getpid(), SIGTERM);
  raise(SIGTERM);
}
static void broken_pipe(void) {
  int ends[2];
  signal(SIGPIPE, handler);
  if (pipe(ends) == 0 && close(ends[0]) == 0 && write(ends[1], "x", 1) == 0) _exit(1);
}
static void unheard(void) {
  signal(SIGCHLD, SIG_IGN);
  if (fork() == 0) _exit(0);
  usleep(50000);
}
static void by_another_signal(void) {
  signal(SIGUSR1, handler);
  int pid = (int)syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  waitpid(pid, 0, __WALL);
}
static void dying(void) {
  int pid = fork();
  if (pid == 0) for (;;) pause();
  usleep(20000);
  kill(pid, SIGTERM);
  kill(pid, SIGTERM);
  waitpid(pid, 0, 0);
}
static void nobody(void) {
  kill(getpid(), 0);
  kill(1 << 30, SIGTERM);
  syscall(SYS_tgkill, getppid(), getpid(), SIGTERM);
}
// What is left when its parent has ended.
static void orphan(void) {
  if (fork() == 0) {
    usleep(100000);
    prctl(PR_SET_NAME, "orphaned");
    printf("ppid %d\n", getppid());
    fflush(stdout);
    getpgid(0);
    _exit(0);
  }
}

int main(void) {
  signal(SIGCHLD, handler);
  child("kill_self", kill_self);
  child("fault", fault);
  child("group", group);
  child("ignored", ignored);
  child("pending", pending);
  child("pipe", broken_pipe);
  child("unheard", unheard);
  child("other", by_another_signal);
  child("dying", dying);
  child("nobody", nobody);
  child("orphan", orphan);
  usleep(200000);
  return 0;
}

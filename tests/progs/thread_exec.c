// SPDX-License-Identifier: Apache-2.0
// Hard case 1: exec in a process with threads. The siblings vanish, and a thread that is not the leader becomes it.
#include "check.h"

static void* spin(void* unused) {
  for (;;) syscall(SYS_getppid);
  return unused;
}

static void* do_exec(void* path) {
  execl(path, path, "again", NULL);
  return NULL;
}

int main(int argc, char** argv) {
  if (argc > 1) return printf("pid is %s\n", getpid() == syscall(SYS_gettid) ? "the leader's" : "wrong"), 7;
  for (int round = 0; round < 20; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      pthread_t thread;
      for (int i = 0; i < 5; ++i) pthread_create(&thread, NULL, spin, NULL);
      if (round % 2) do_exec(argv[0]);
      pthread_create(&thread, NULL, do_exec, argv[0]);
      if (round % 4 == 0) pthread_exit(NULL);
      spin(NULL);
    }
    CHECK(ended(child) == 7);
  }
  printf("done\n");
}

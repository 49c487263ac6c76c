// SPDX-License-Identifier: Apache-2.0
// clone3 whose flags another thread changes all the time: no child escapes. An escaped one would get ENOSYS for what only a
// tracer answers.
#include <linux/sched.h>

#include "check.h"

enum { kChildren = 800 };

static volatile struct clone_args args __attribute__((aligned(64)));
static atomic_int over;

static void* change_flags(void* unused) {
  while (!over) {
    args.flags = 0;
    args.flags = CLONE_UNTRACED;
  }
  return unused;
}

// The same in a copy that the kernel, not the registers, must see: clone() has no such flag.
static void* change_other_flags(void* unused) {
  while (!over) {
    args.flags = CLONE_CLEAR_SIGHAND;
    args.flags = CLONE_CLEAR_SIGHAND | CLONE_UNTRACED;
  }
  return unused;
}

static void race(const char* name, void* (*change)(void*)) {
  pthread_t changer;
  int escaped = 0, failed = 0;
  over = 0;
  CHECK(pthread_create(&changer, NULL, change, NULL) == 0);
  args.exit_signal = SIGCHLD;
  for (int i = 0; i < kChildren; ++i) {
    const long child = syscall(SYS_clone3, &args, sizeof args);
    if (child == 0) _exit(syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY) < 0);
    if (child < 0)
      ++failed;
    else
      escaped += ended((pid_t)child) != 0;
  }
  over = 1;
  pthread_join(changer, NULL);
  printf("%s: %d children, %d failed, %d escaped\n", name, kChildren, failed, escaped);
}

int main(void) {
  race("as clone", change_flags);
  race("as clone3", change_other_flags);
  // What the kernel refuses, it refuses still.
  struct clone_args odd = {.flags = CLONE_THREAD, .exit_signal = SIGCHLD};
  CHECK(syscall(SYS_clone3, &odd, sizeof odd) == -1 && errno == EINVAL);
  odd = (struct clone_args){.exit_signal = 65};
  CHECK(syscall(SYS_clone3, &odd, sizeof odd) == -1 && errno == EINVAL);
  odd = (struct clone_args){.stack_size = 4096};
  CHECK(syscall(SYS_clone3, &odd, sizeof odd) == -1 && errno == EINVAL);
  CHECK(syscall(SYS_clone3, &odd, 32) == -1 && errno == EINVAL);
  CHECK(syscall(SYS_clone3, &odd, 5000) == -1 && errno == E2BIG);
  CHECK(syscall(SYS_clone3, NULL, sizeof odd) == -1 && errno == EFAULT);
  printf("errors as ever\n");
}

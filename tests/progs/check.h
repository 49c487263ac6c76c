// SPDX-License-Identifier: Apache-2.0
// What the tracee programs share. Each says what it found, one line a fact, and says the same on a bare kernel.
#pragma once

#ifndef _GNU_SOURCE  // C++ defines it by itself
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                        \
  do {                                                                                          \
    if (!(condition)) printf("line %d: %s is false (errno %d)\n", __LINE__, #condition, errno); \
  } while (0)

// Is this the kernel whose answers the model gives?
static inline int is_claimed_kernel(void) {
  struct utsname kernel;
  return uname(&kernel) == 0 && strncmp(kernel.release, "6.1.", 4) == 0;
}

static inline double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static inline void sleep_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&t, &t) && errno == EINTR) continue;
}

// Waits for the child and says how it ended: its exit status, or minus the signal.
static inline int ended(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) return -1000;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// SPDX-License-Identifier: Apache-2.0
// Probes on calls with a path that a process decides by itself by then: every call from the probe's beginning to its end is
// counted, no other; a breakpoint on the very bytes of a call counts whatever became of the call before or after.
#include "probe.h"
#include "tracepoint.h"

#include <sys/stat.h>

enum { kOften = 200, kCounted = 37 };
static const char* const kNone = "path-probes-none";

static void look(int times) {
  struct stat st;
  for (int i = 0; i < times; i++) CHECK(fstatat(AT_FDCWD, kNone, &st, AT_SYMLINK_NOFOLLOW) == -1 && errno == ENOENT);
}

static void ask(int times) {
  for (int i = 0; i < times; i++) CHECK(access("/etc/passwd", R_OK) == 0);
}

static void read_links(int times) {
  char target[16];
  for (int i = 0; i < times; i++) CHECK(readlink(kNone, target, sizeof target) == -1 && errno == ENOENT);
}

static void tracepoints(void) {
  for (int round = 0; round < 6; round++) {
    const char* const moment = round & 1 ? "exit" : "enter";
    look(kOften);
    const struct counter calls = count(getpid(), moment, "newfstatat");
    look(kCounted);
    printf("%s of newfstatat: %ld\n", moment, end_count(calls, kCounted));
  }
}

// The function is its call: nothing stands before it.
static void breakpoints(void) {
  ask(kOften);
  for (int round = 0; round < 3; round++) {
    const struct counter calls = probe_function(kOnlyUs, (const void*)access, 0);
    ask(kCounted);
    printf("access: %ld calls\n", end_count(calls, kCounted));
    ask(kOften);
  }
  const struct counter calls = probe_function(kOnlyUs, (const void*)readlink, 0);
  read_links(kOften);
  printf("readlink: %ld calls\n", end_count(calls, kOften));
  read_links(kOften);
}

static _Atomic int stop;
static void* look_on(void* calls) {
  while (!stop) {
    look(1);
    ++*(long*)calls;
  }
  return NULL;
}

// Breakpoints come and go on the bytes while threads run through them.
static void while_threads_run(void) {
  pthread_t threads[4];
  static long calls[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, look_on, &calls[i]);
  for (int i = 0; i < 10; i++) {
    const struct counter counter = probe_function(kOnlyUs, (const void*)fstatat, 0);
    sleep_ms(5);
    end_count(counter, 0);
  }
  stop = 1;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  puts("threads went on");
}

int main(void) {
  CHECK(chdir("/tmp") == 0);
  tracepoints();
  breakpoints();
  while_threads_run();
}

// SPDX-License-Identifier: Apache-2.0
// Probes come and go while processes with threads call the probed functions and fork all the time: every breakpoint
// that a child inherits is one that is known of, or none.
#include "probe.h"

#define OUT_OF_LINE __attribute__((noipa, noinline))
enum { kWorkers = 4, kThreads = 3, kCalls = 20, kToggles = 12 };

OUT_OF_LINE static long inner(long x) {
  __asm__ volatile("" : "+r"(x));
  return x + 1;
}
OUT_OF_LINE static long outer(long x) {
  __asm__ volatile("" : "+r"(x));
  return inner(x) + 1;
}

static atomic_int* stop;

static void* call_on(void* unused) {
  (void)unused;
  long wrong = 0;
  while (!*stop) wrong += outer(1) != 3;
  return (void*)wrong;
}

static int work(void) {
  pthread_t threads[kThreads];
  int failed = 0;
  for (int i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, call_on, NULL);
  while (!*stop && !failed) {
    const pid_t child = fork();
    if (child == 0) {
      for (int i = 0; i < kCalls; ++i)
        if (outer(i) != i + 2) _exit(1);
      _exit(0);
    }
    failed = ended(child);
    if (failed) printf("a child: %d\n", failed);
  }
  for (int i = 0; i < kThreads; ++i) {
    void* wrong = NULL;
    pthread_join(threads[i], &wrong);
    failed |= wrong != NULL;
  }
  fflush(stdout);
  return failed != 0;
}

int main(void) {
  stop = mmap(NULL, sizeof *stop, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t workers[kWorkers];
  for (int i = 0; i < kWorkers; ++i) {
    workers[i] = fork();
    if (workers[i] == 0) _exit(work());
  }
  for (int i = 0; i < kToggles; ++i) {
    const struct counter first = probe_function(kEveryone, (const void*)inner, i & 1);
    const struct counter second = probe_function(kEveryone, (const void*)outer, i >> 1 & 1);
    if (i % 3 == 0) sleep_ms(2);
    end_count(first, 0);
    if (i % 5 == 0) sleep_ms(3);
    end_count(second, 0);
  }
  *stop = 1;
  int failed = 0;
  for (int i = 0; i < kWorkers; ++i) failed += ended(workers[i]) != 0;
  printf("%d workers, %d failed\n", kWorkers, failed);
}

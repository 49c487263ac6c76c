// SPDX-License-Identifier: Apache-2.0
// Under fake_bpfemu: probes attached while other processes run or sleep see every call from then on, and none twice.
#include <sys/epoll.h>

#include "tests/progs/check.h"

enum { kCount = 3, kEntries = 4, kExits = 5 };

static struct Shared {
  atomic_long made[2];  // calls made, by each counted call
  atomic_int stop, ready;
}* shared;

static const long kCalls[] = {SYS_getppid, SYS_getpgid};

static void* loop(void* unused) {
  ++shared->ready;
  while (!shared->stop) {
    for (int i = 0; i < 2; ++i) {
      syscall(kCalls[i], 0);
      ++shared->made[i];
    }
  }
  return unused;
}

static void run_threads(int count) {
  pthread_t threads[8];
  for (int i = 1; i < count; ++i) pthread_create(&threads[i], NULL, loop, NULL);
  loop(NULL);
  for (int i = 1; i < count; ++i) pthread_join(threads[i], NULL);
  _exit(0);
}

// Sleeps in a call that an interrupt would end with EINTR, then makes a known number of calls.
static void sleep_first(void) {
  struct epoll_event event;
  ++shared->ready;
  if (epoll_wait(epoll_create1(0), &event, 1, 500) != 0) _exit(1);
  for (int n = 0; n < 100; ++n)
    for (int i = 0; i < 2; ++i) {
      syscall(kCalls[i], 0);
      ++shared->made[i];
    }
  _exit(0);
}

int main(void) {
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const int threads[] = {1, 4, 2};
  pid_t children[4];
  for (int i = 0; i < 3; ++i)
    if ((children[i] = fork()) == 0) run_threads(threads[i]);
  if ((children[3] = fork()) == 0) sleep_first();
  while (shared->ready < 8) sleep_ms(1);
  sleep_ms(50);

  long least = 0, most = 0;
  for (int i = 0; i < 2; ++i) {
    const long before = shared->made[i];
    if (syscall(SYS_bpf, kCount, kCalls[i]) != 0) return printf("cannot attach\n"), 1;
    const long after = shared->made[i];
    sleep_ms(100);
    most -= before;
    least -= after;
  }
  shared->stop = 1;
  for (int i = 0; i < 4; ++i)
    if (ended(children[i]) != 0) return printf("child %d failed\n", i), 1;
  const long total = shared->made[0] + shared->made[1];
  const long entries = syscall(SYS_bpf, kEntries), exits = syscall(SYS_bpf, kExits);
  // A call may be between its return and the counter's increment when the counters are read: one for each thread.
  const long slack = 2 * 8;
  most += total + slack;
  least += total - slack;
  if (entries >= least && entries <= most && exits >= entries && exits <= entries + slack) return 0;
  printf("made %ld to %ld, seen %ld entries, %ld exits\n", least, most, entries, exits);
  return 1;
}

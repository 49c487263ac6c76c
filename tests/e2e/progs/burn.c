// SPDX-License-Identifier: Apache-2.0
// Keeps CPUs busy: burn PROCESSES SECONDS.
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned long spins;

__attribute__((noinline)) static void burn(double how_long) {
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  do {
    for (int i = 0; i < 100000; ++i) ++spins;
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9 < how_long);
}

int main(int argc, char** argv) {
  int processes = argc > 1 ? atoi(argv[1]) : 1;
  double how_long = argc > 2 ? atof(argv[2]) : 1;
  for (int i = 1; i < processes; ++i) {
    if (fork() == 0) {
      burn(how_long);
      _exit(0);
    }
  }
  burn(how_long);
  while (wait(NULL) > 0) continue;
  return 0;
}

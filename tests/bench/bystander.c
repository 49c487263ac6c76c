// SPDX-License-Identifier: Apache-2.0
// How long a stat takes while something else runs: prints the microseconds that half of the calls, 99.9 % of them, and
// all of them stay below. usage: bystander SECONDS [COMMAND...]
// COMMAND runs meanwhile and is killed in the end; status 1 when it ended by itself.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kMost = 1 << 20 };
static const double kInterval = 1e3;  // of the calls, in microseconds

static double took[kMost];
static int calls;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

// A call that takes longer than the interval keeps others from being made: these count with the time that they would
// have had to wait.
static void note(double latency) {
  do {
    if (calls < kMost) took[calls++] = latency;
    latency -= kInterval;
  } while (latency > 0);
}

static int ascending(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static pid_t start(char** command) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  execv(command[0], command);
  _exit(127);
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const pid_t load = argc > 2 ? start(argv + 2) : 0;
  usleep(300000);
  const double end = now() + atof(argv[1]) * 1e6;
  while (now() < end) {
    struct stat st;
    const double begin = now();
    if (stat("/etc/passwd", &st)) return 1;
    note(now() - begin);
    usleep((useconds_t)kInterval);
  }
  if (load && waitpid(load, NULL, WNOHANG) != 0) return 1;
  if (load) kill(load, SIGKILL);  // its end may take as long as its call
  qsort(took, (size_t)calls, sizeof *took, ascending);
  printf("%.1f %.1f %.1f\n", took[calls / 2], took[(int)(calls * 0.999)], took[calls - 1]);
  return 0;
}

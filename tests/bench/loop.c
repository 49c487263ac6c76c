// SPDX-License-Identifier: Apache-2.0
// Times one kind of operation in a loop and prints nanoseconds per operation. usage: loop KIND COUNT
// Kinds: getppid, open (open and close), stat, exec (fork, exec of /bin/true, wait), hit (a call of hit()), threads (stat
// in eight threads, each COUNT / 8 times).
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile long sink;
__attribute__((noinline, noclone)) void hit(void) { sink++; }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void do_getppid(void) { syscall(SYS_getppid); }
static void do_open(void) { close(open("/dev/null", O_RDONLY)); }
static void do_stat(void) {
  struct stat st;
  if (stat("/etc/passwd", &st)) exit(1);
}
static void do_exec(void) {
  pid_t child = fork();
  if (!child) {
    execl("/bin/true", "true", (char *)NULL);
    _exit(127);
  }
  waitpid(child, NULL, 0);
}

enum { kThreads = 8 };

static void *stat_often(void *count) {
  for (long i = 0; i < *(long *)count / kThreads; i++) do_stat();
  return NULL;
}

static void do_threads(long count) {
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; i++)
    if (pthread_create(&threads[i], NULL, stat_often, &count)) exit(1);
  for (int i = 0; i < kThreads; i++) pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*operation)(void);
  } kinds[] = {{"getppid", do_getppid}, {"open", do_open}, {"stat", do_stat}, {"exec", do_exec}, {"hit", hit}, {"threads", NULL}};
  if (argc < 3) return 2;
  long count = atol(argv[2]);
  for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    if (strcmp(kinds[k].name, argv[1])) continue;
    double best = 1e18;
    for (int round = 0; round < 5; round++) {
      double start = now();
      if (kinds[k].operation)
        for (long i = 0; i < count; i++) kinds[k].operation();
      else
        do_threads(count);
      double each = (now() - start) / (double)count;
      if (each < best) best = each;
    }
    printf("%.1f\n", best);
    return 0;
  }
  return 2;
}

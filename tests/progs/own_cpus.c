// SPDX-License-Identifier: Apache-2.0
// The CPUs that a thread may use are its own to see and to set, however many stops it makes, and its children's too.
// A thread that alone makes stops is held to one CPU meanwhile, of which nothing may show.
#include "check.h"

#include <sys/stat.h>

// Enough stops in a row for whoever wants to hold the thread.
static void many_stops(void) {
  struct stat st;
  for (int i = 0; i < 200; ++i) CHECK(stat("/", &st) == 0);
}

static cpu_set_t whole;

static int has_all(pid_t tid) {
  cpu_set_t now;
  CPU_ZERO(&now);
  return sched_getaffinity(tid, sizeof now, &now) == 0 && CPU_EQUAL(&now, &whole);
}

static void hold_to_first(cpu_set_t* one) {
  int cpu = 0;
  while (!CPU_ISSET(cpu, &whole)) ++cpu;
  CPU_ZERO(one);
  CPU_SET(cpu, one);
  CHECK(sched_setaffinity(0, sizeof *one, one) == 0);
}

static void* stop_and_look(void* tid) {
  many_stops();
  CHECK(has_all(*(pid_t*)tid));
  CHECK(has_all(0));
  return NULL;
}

static int child_of(pid_t (*make)(void)) {
  many_stops();
  const pid_t child = make();
  if (child == 0) {
    if (!has_all(0)) _exit(1);
    _exit(has_all(getppid()) ? 0 : 2);
  }
  return ended(child);
}

static void* exec_again(void* path) {
  many_stops();
  execl(path, path, "again", NULL);
  return NULL;
}

// In another thread than the first, or in that.
static int across_exec(char* path, int elsewhere) {
  const pid_t child = fork();
  if (child == 0) {
    pthread_t thread;
    if (!elsewhere) exec_again(path);
    many_stops();
    pthread_create(&thread, NULL, exec_again, path);
    pause();
  }
  return ended(child);
}

// A parent that dies as it forks: nobody tells whose child that was. It writes when it has another mask than we.
static void orphans(void) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  for (int i = 0; i < 30; ++i) {
    const pid_t parent = fork();
    if (parent == 0) {
      many_stops();
      for (int j = 0; j < 40; ++j)
        if (fork() == 0) {
          if (!has_all(0)) CHECK(write(ends[1], "x", 1) == 1);
          _exit(0);
        }
      pause();
    }
    sleep_ms(1 + i % 5);
    kill(parent, SIGKILL);
    CHECK(ended(parent) == -SIGKILL);
  }
  close(ends[1]);
  char wrong = 0;
  CHECK(read(ends[0], &wrong, 1) == 0);
}

static void narrowed(void) {
  cpu_set_t one, now;
  hold_to_first(&one);
  many_stops();
  CHECK(sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &one));
  const pid_t child = fork();
  if (child == 0) {
    many_stops();
    _exit(sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &one) ? 0 : 1);
  }
  CHECK(ended(child) == 0);
  CHECK(sched_setaffinity(0, sizeof whole, &whole) == 0);
  many_stops();
  CHECK(has_all(0));
}

// What /proc shows of it.
static void status_line(char* line, size_t size) {
  line[0] = 0;
  FILE* status = fopen("/proc/thread-self/status", "r");
  while (status && fgets(line, size, status) && strncmp(line, "Cpus_allowed_list:", 18)) continue;
  if (status) fclose(status);
}

int main(int argc, char** argv) {
  CHECK(sched_getaffinity(0, sizeof whole, &whole) == 0);
  if (argc > 1) {
    char now[256];
    snprintf(now, sizeof now, "%d", CPU_COUNT(&whole));
    many_stops();
    return has_all(0) && !strcmp(now, getenv("CPUS")) ? 0 : 1;
  }
  char before[256], after[256], count[16];
  status_line(before, sizeof before);
  snprintf(count, sizeof count, "%d", CPU_COUNT(&whole));
  setenv("CPUS", count, 1);
  for (int round = 0; round < 5; ++round) {
    many_stops();
    CHECK(has_all(0));
    many_stops();
    if (getenv("BPF_DEMANDED")) {
      status_line(after, sizeof after);
      CHECK(!strcmp(before, after));
    }
    CHECK(child_of(fork) == 0);
    CHECK(child_of(vfork) == 0);
    pthread_t threads[4];
    pid_t self = getpid();
    for (int i = 0; i < 4; ++i) CHECK(pthread_create(&threads[i], NULL, stop_and_look, &self) == 0);
    many_stops();
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
    CHECK(across_exec(argv[0], 0) == 0);
    CHECK(across_exec(argv[0], 1) == 0);
    narrowed();
  }
  orphans();
  CHECK(has_all(0));
  printf("done\n");
}

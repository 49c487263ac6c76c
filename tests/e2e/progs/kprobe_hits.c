// SPDX-License-Identifier: Apache-2.0
// An event of two probes, counted by kprobe_profile: getpgid three times, getsid twice.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int put(const char *line, int flags) {
  int fd = open("/sys/kernel/tracing/kprobe_events", O_WRONLY | flags);
  int done = write(fd, line, strlen(line)) == (long)strlen(line);
  close(fd);
  return done;
}

int main(void) {
  unsigned id = 0;
  if (!put("p:hits/two __x64_sys_getpgid\n", O_APPEND) || !put("p:hits/two __x64_sys_getsid\n", O_APPEND)) return 1;
  FILE *file = fopen("/sys/kernel/tracing/events/hits/two/id", "r");
  if (!file || fscanf(file, "%u", &id) != 1) return 1;
  fclose(file);
  struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .config = id, .sample_period = 1};
  int fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
  if (fd < 0) return 1;
  for (int i = 0; i < 3; i++) getpgid(0);
  for (int i = 0; i < 2; i++) getsid(0);
  char line[256];
  unsigned long hits, all = 0;
  file = fopen("/sys/kernel/tracing/kprobe_profile", "r");
  while (file && fgets(line, sizeof line, file)) {
    fputs(line, stdout);
    if (sscanf(line, " two %lu", &hits) == 1) all += hits;
  }
  printf("%lu hits\n", all);
  // One of two probes can go while the event is open, the last cannot.
  int first = put("-:hits/two __x64_sys_getsid\n", O_APPEND), last = put("-:hits/two\n", O_APPEND);
  close(fd);
  int gone = 0;
  for (int i = 0; i < 100 && !gone; i++) gone = put("-:hits/two\n", O_APPEND) || usleep(10000);
  return !(first && !last && gone);
}

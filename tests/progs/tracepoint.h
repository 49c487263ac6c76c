// SPDX-License-Identifier: Apache-2.0
// Counting entries and exits of system calls, and returns of kernel functions, in one process.
#pragma once

#include "counter.h"

// Counts at the event that `attr` describes.
static inline struct counter count_event(pid_t pid, int program_type, struct perf_event_attr* event) {
  struct counter counter = {counter_map(), -1};
  if (!is_open(counter.map)) return counter;
  event->size = sizeof *event;
  event->sample_period = 1;
  const int program = load_counter(program_type, counter.map, pid);
  const int fd = syscall(SYS_perf_event_open, event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  if (program >= 0 && fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0) counter.event = fd;
  else if (fd >= 0) close(fd);
  if (program >= 0) close(program);
  return counter;
}

static inline struct counter count(pid_t pid, const char* moment, const char* call) {
  struct counter counter = {-1, -1};
  char name[64];
  snprintf(name, sizeof name, "sys_%s_%s", moment, call);
  struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .config = event_id(name)};
  if (event.config) counter = count_event(pid, BPF_PROG_TYPE_TRACEPOINT, &event);
  if (counter.event < 0 && demanded()) printf("cannot probe %s of %s: errno %d\n", moment, call, errno);
  return counter;
}

// Counts the returns of a kernel function.
static inline struct counter count_returns(pid_t pid, const char* function) {
  struct counter counter = {-1, -1};
  struct perf_event_attr event = {.type = number_in("/sys/bus/event_source/devices/kprobe/type"), .config = 1};
  event.kprobe_func = (uintptr_t)function;
  if (event.type) counter = count_event(pid, BPF_PROG_TYPE_KPROBE, &event);
  if (counter.event < 0 && demanded()) printf("cannot probe returns of %s: errno %d\n", function, errno);
  return counter;
}

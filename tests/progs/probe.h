// SPDX-License-Identifier: Apache-2.0
// Counting uprobes. A probe that cannot be placed although there is bpf() shows.
#pragma once

#include "counter.h"

enum { kEveryone = -1, kOnlyUs = 0 };

// perf_event_open of a uprobe as the caller wants it: a descriptor or -errno; -ENOSYS where there are none.
static inline int open_uprobe(int who, const char* path, uint64_t offset, uint64_t config, int inherit) {
  FILE* file = fopen("/sys/bus/event_source/devices/uprobe/type", "r");
  unsigned type = 0;
  if (!file) return -ENOSYS;
  CHECK(fscanf(file, "%u", &type) == 1);
  fclose(file);
  struct perf_event_attr event = {.type = type, .size = sizeof event, .config = config};
  event.inherit = inherit;
  event.uprobe_path = (uintptr_t)path;
  event.probe_offset = offset;
  const int fd = syscall(SYS_perf_event_open, &event, who, who == kEveryone ? 0 : -1, -1, PERF_FLAG_FD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

enum { kAtReturn = 1 };
#define REF_CTR(offset) ((uint64_t)(offset) << 32)

static inline struct counter probe_config(int who, const char* path, uint64_t offset, uint64_t config, int inherit) {
  struct counter probe = {counter_map(), -1};
  if (!is_open(probe.map)) {
    if (demanded()) printf("cannot probe: map %d, errno %d\n", probe.map, errno);
    return probe;
  }
  const int program = load_counter(BPF_PROG_TYPE_KPROBE, probe.map, 0);
  const int fd = open_uprobe(who, path, offset, config, inherit);
  if (program >= 0 && fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0 &&
      ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0)
    probe.event = fd;
  else if (fd != -ENOSYS || demanded())
    printf("cannot probe: program %d, event %d, errno %d\n", program, fd, errno);
  return probe;
}

// Counts when `who` runs into `offset` of the file; `at_return`: when the function there returns.
static inline struct counter probe_file(int who, const char* path, uint64_t offset, int at_return) {
  return probe_config(who, path, offset, at_return ? kAtReturn : 0, 0);
}

// The offset of an address in the file that it is mapped from, and the file's path.
static inline uint64_t file_offset(const void* address, char path[400]) {
  FILE* maps = fopen("/proc/thread-self/maps", "r");
  char line[512];
  uint64_t start, end, offset, found = 0;
  path[0] = 0;
  while (fgets(line, sizeof line, maps))
    if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %399s", &start, &end, &offset, path) == 4 &&
        (uintptr_t)address >= start && (uintptr_t)address < end) {
      found = offset + ((uintptr_t)address - start);
      break;
    }
  fclose(maps);
  return found;
}

// The same for a function of this process, wherever it was mapped from.
static inline struct counter probe_function(int who, const void* function, int at_return) {
  char path[400];
  const uint64_t offset = file_offset(function, path);
  return probe_file(who, path, offset, at_return);
}

// SPDX-License-Identifier: Apache-2.0
// Counting uprobes for the tracee programs: each is its own tool. Where there is no bpf(), as on a bare kernel without
// root, a probe says that it saw what it should have seen, so that the output is the same; as root on a bare kernel
// the real thing counts. Under bpfemu it must count: run.py demands it, and a probe that cannot be placed shows.
#pragma once

#include "check.h"

#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>

struct probe {
  int map, event;  // event -1: nobody counts
};

// A made-up kernel answers bpf() with numbers that are no descriptors.
static inline int is_open(int fd) {
  return fd >= 0 && fcntl(fd, F_GETFD) >= 0;
}

static inline int demanded(void) {
  return getenv("BPF_DEMANDED") != NULL;
}

static inline long bpf_call(int command, union bpf_attr* attr) {
  return syscall(SYS_bpf, command, attr, sizeof *attr);
}

// Counts in the map's only element.
static inline int load_counter(int map) {
  const struct bpf_insn code[] = {
      {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
      {.code = 0},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 2},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 1},
      {.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 0, .src_reg = 1, .imm = BPF_ADD},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_KPROBE, .insn_cnt = sizeof code / sizeof code[0]};
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

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

static inline struct probe probe_config(int who, const char* path, uint64_t offset, uint64_t config, int inherit) {
  struct probe probe = {-1, -1};
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
  if (!is_open(probe.map = bpf_call(BPF_MAP_CREATE, &attr))) {
    if (demanded()) printf("cannot probe: map %d, errno %d\n", probe.map, errno);
    return probe;
  }
  const int program = load_counter(probe.map);
  const int fd = open_uprobe(who, path, offset, config, inherit);
  if (program >= 0 && fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0 &&
      ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0)
    probe.event = fd;
  else if (fd != -ENOSYS || demanded())
    printf("cannot probe: program %d, event %d, errno %d\n", program, fd, errno);
  return probe;
}

// Counts when `who` runs into `offset` of the file; `at_return`: when the function there returns.
static inline struct probe probe_file(int who, const char* path, uint64_t offset, int at_return) {
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
static inline struct probe probe_function(int who, const void* function, int at_return) {
  char path[400];
  const uint64_t offset = file_offset(function, path);
  return probe_file(who, path, offset, at_return);
}

// How often it was hit so far, or `expected` when nobody counts.
static inline long probe_hits(struct probe probe, long expected) {
  if (probe.event < 0) return demanded() ? -1 : expected;
  uint32_t key = 0;
  uint64_t value = 0;
  union bpf_attr attr = {.map_fd = (uint32_t)probe.map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)&value;
  return bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) == 0 ? (long)value : -1;
}

static inline void probe_end(struct probe probe) {
  if (probe.event >= 0) close(probe.event);
  if (probe.map >= 0) close(probe.map);
}

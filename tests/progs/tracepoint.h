// SPDX-License-Identifier: Apache-2.0
// Counting entries and exits of system calls: each program is its own tool. Where nobody may probe, such as on a bare
// kernel without root, a counter says what it should have counted; under bpfemu run.py demands that it counts.
#pragma once

#include "check.h"

#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>

static inline long bpf_call(int command, union bpf_attr* attr) {
  return syscall(SYS_bpf, command, attr, sizeof *attr);
}

// Counts what one process does in the map's only element.
static inline int load_counter(int type, int map, pid_t pid) {
  const struct bpf_insn code[] = {
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid},
      {.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = 0, .imm = 32},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 9, .imm = pid},
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
  union bpf_attr attr = {.prog_type = type, .insn_cnt = sizeof code / sizeof code[0]};
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

struct counter {
  int map, event;
};

// Counts at the event that `attr` describes.
static inline struct counter count_event(pid_t pid, int program_type, struct perf_event_attr* event) {
  struct counter counter = {-1, -1};
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
  event->size = sizeof *event;
  event->sample_period = 1;
  counter.map = bpf_call(BPF_MAP_CREATE, &attr);
  const int program = load_counter(program_type, counter.map, pid);
  const int fd = syscall(SYS_perf_event_open, event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  if (fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0) counter.event = fd;
  close(program);
  return counter;
}

static inline unsigned number_in(const char* path) {
  unsigned number = 0;
  FILE* file = fopen(path, "r");
  if (file && fscanf(file, "%u", &number) != 1) number = 0;
  if (file) fclose(file);
  return number;
}

static inline struct counter count(pid_t pid, const char* moment, const char* call) {
  struct counter counter = {-1, -1};
  char path[128];
  snprintf(path, sizeof path, "/sys/kernel/tracing/events/syscalls/sys_%s_%s/id", moment, call);
  struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .config = number_in(path)};
  if (event.config) counter = count_event(pid, BPF_PROG_TYPE_TRACEPOINT, &event);
  if (counter.event < 0 && getenv("BPF_DEMANDED")) printf("cannot probe %s of %s: errno %d\n", moment, call, errno);
  return counter;
}

// Counts the returns of a kernel function.
static inline struct counter count_returns(pid_t pid, const char* function) {
  struct counter counter = {-1, -1};
  struct perf_event_attr event = {.type = number_in("/sys/bus/event_source/devices/kprobe/type"), .config = 1};
  event.kprobe_func = (uintptr_t)function;
  if (event.type) counter = count_event(pid, BPF_PROG_TYPE_KPROBE, &event);
  if (counter.event < 0 && getenv("BPF_DEMANDED")) printf("cannot probe returns of %s: errno %d\n", function, errno);
  return counter;
}

// What it counted so far, or `expected` when nobody counts.
static inline long counted(struct counter counter, long expected) {
  if (counter.event < 0) return expected;
  uint32_t key = 0;
  uint64_t value = 0;
  union bpf_attr attr = {.map_fd = (uint32_t)counter.map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)&value;
  return bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) == 0 ? (long)value : -1;
}

static inline long end_count(struct counter counter, long expected) {
  const long value = counted(counter, expected);
  if (counter.event >= 0) close(counter.event);
  if (counter.map >= 0) close(counter.map);
  return value;
}

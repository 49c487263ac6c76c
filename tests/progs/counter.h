// SPDX-License-Identifier: Apache-2.0
// Counting with a program of one's own, in the only element of a map: each tracee program is its own tool. Where there
// is no bpf(), as on a bare kernel without root, nobody counts, and a counter says what it should have counted, so that
// the output is the same; as root on a bare kernel the real thing counts. Under bpfemu it must count: run.py demands it.
#pragma once

#include "check.h"

#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>

struct counter {
  int map, event;  // event -1: nobody counts
};

// A made-up kernel answers bpf() with numbers that are no descriptors, but its events are the host's.
static inline int is_open(int fd) {
  return fd >= 0 && fcntl(fd, F_GETFD) >= 0;
}

static inline int demanded(void) {
  return getenv("BPF_DEMANDED") != NULL;
}

static inline long bpf_call(int command, union bpf_attr* attr) {
  return syscall(SYS_bpf, command, attr, sizeof *attr);
}

static inline unsigned number_in(const char* path) {
  unsigned number = 0;
  FILE* file = fopen(path, "r");
  if (file && fscanf(file, "%u", &number) != 1) number = 0;
  if (file) fclose(file);
  return number;
}

// Of a tracepoint of the system `syscalls`; 0: there is none.
static inline unsigned event_id(const char* name) {
  char path[200];
  snprintf(path, sizeof path, "/sys/kernel/tracing/events/syscalls/%s/id", name);
  return number_in(path);
}

static inline int counter_map(void) {
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
  return bpf_call(BPF_MAP_CREATE, &attr);
}

// r0 = where the element of an array is whose number stands at fp - 4; null: there is none. Five slots, ELEMENT six.
#define LOOK_UP(map_fd)                                                                                \
  {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},                                  \
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},                                  \
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map_fd}, \
      {.code = 0}, {                                                                                   \
    .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem                                        \
  }
#define ELEMENT(map_fd, number) {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = number}, LOOK_UP(map_fd)

// Adds 1 to the first element: nine slots.
#define COUNT_UP(map_fd)                                                                  \
  ELEMENT(map_fd, 0), {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 2},        \
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 1}, {                    \
    .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 0, .src_reg = 1, .imm = BPF_ADD     \
  }

// Counts what one process does, 0: whoever.
static inline int load_counter(uint32_t type, int map, pid_t pid) {
  enum { kOfPid = 3 };
  const struct bpf_insn code[] = {
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid},
      {.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = 0, .imm = 32},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 9, .imm = pid},
      COUNT_UP(map),
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  const int skipped = pid ? 0 : kOfPid;
  union bpf_attr attr = {.prog_type = type};
  attr.insn_cnt = sizeof code / sizeof code[0] - skipped;
  attr.insns = (uintptr_t)(code + skipped);
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

// Objects for whoever wants some: a link of a program of type RAW_TRACEPOINT, and BTF that has an int.
static inline int open_raw_tracepoint(int program) {
  union bpf_attr attr = {.raw_tracepoint = {.name = (uintptr_t) "sched_process_fork", .prog_fd = (uint32_t)program}};
  return bpf_call(BPF_RAW_TRACEPOINT_OPEN, &attr);
}

static inline int load_int_btf(void) {
  // A header and one type: int.
  const struct {
    uint16_t magic;
    uint8_t version, flags;
    uint32_t header, types_at, types, strings_at, strings;
    uint32_t type[4];
    char text[5];
  } __attribute__((packed)) btf = {0xeb9f, 1, 0, 24, 0, 16, 16, 5, {1, 1 << 24, 4, 32 | 1 << 24}, "\0int"};
  union bpf_attr attr = {.btf = (uintptr_t)&btf, .btf_size = sizeof btf};
  return bpf_call(BPF_BTF_LOAD, &attr);
}

// What it counted so far, or `expected` when nobody counts.
static inline long counted(struct counter counter, long expected) {
  if (counter.event < 0) return demanded() ? -1 : expected;
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
  if (is_open(counter.map)) close(counter.map);
  return value;
}

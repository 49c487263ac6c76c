// SPDX-License-Identifier: Apache-2.0
// Programs that write records when they are test-run, for the tracee programs: each is its own tool. Where there is no
// bpf(), as on a bare kernel without root, what was found is what should have been, so that the output is the same.
#pragma once

#include "probe.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

static int there_is_bpf;

// One fact, a line.
static inline void say(const char* what, long found, long expected) {
  printf("%s: %ld\n", what, there_is_bpf ? found : expected);
  if (there_is_bpf && found != expected) printf("%s is false: %ld expected\n", what, expected);
}

static inline int load_xdp(const struct bpf_insn* code, unsigned count) {
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_XDP, .insn_cnt = count};
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

// Writes eight bytes to the perf event of this CPU.
static inline int load_perf_output(int map) {
  const struct bpf_insn code[] = {
      {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8, .imm = 0x11223344},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 2, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
      {.code = 0},
      {.code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = 3, .imm = -1},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 4, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 4, .imm = -8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 5, .imm = 8},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_perf_event_output},
      {.code = BPF_JMP | BPF_EXIT},
  };
  return load_xdp(code, sizeof code / sizeof code[0]);
}

// Writes eight bytes to the ring; `flags` as of bpf_ringbuf_output.
static inline int load_ring_output(int map, int flags) {
  const struct bpf_insn code[] = {
      {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8, .imm = 0x11223344},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
      {.code = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .imm = flags},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_ringbuf_output},
      {.code = BPF_JMP | BPF_EXIT},
  };
  return load_xdp(code, sizeof code / sizeof code[0]);
}

static inline int new_map(unsigned type, unsigned key, unsigned value, unsigned entries) {
  union bpf_attr attr = {.map_type = type, .key_size = key, .value_size = value, .max_entries = entries};
  return bpf_call(BPF_MAP_CREATE, &attr);
}

// What the program returned, or minus errno.
static inline long run_program(int program) {
  char packet[64] = {0};
  union bpf_attr attr = {0};
  attr.test.prog_fd = (uint32_t)program;
  attr.test.data_in = (uintptr_t)packet;
  attr.test.data_size_in = sizeof packet;
  return bpf_call(BPF_PROG_TEST_RUN, &attr) == 0 ? (int)attr.test.retval : -errno;
}

static inline int open_output(const struct perf_event_attr* options) {
  struct perf_event_attr attr = *options;
  attr.size = sizeof attr;
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_BPF_OUTPUT;
  attr.sample_period = 1;
  if (!attr.sample_type) attr.sample_type = PERF_SAMPLE_RAW;
  return syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
}

static inline void put_event(int map, int event) {
  uint32_t key = 0, value = (uint32_t)event;
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)&value;
  CHECK(!there_is_bpf || bpf_call(BPF_MAP_UPDATE_ELEM, &attr) == 0);
}

static inline void* map_pages(int fd, int pages, int protection) {
  void* area = mmap(NULL, (size_t)pages * 4096, protection, MAP_SHARED, fd, 0);
  return area == MAP_FAILED ? NULL : area;
}

// What poll() finds, without waiting; minus one for none.
static inline int polled(int fd, short events) {
  struct pollfd entry = {fd, events, 0};
  return poll(&entry, 1, 0) == 1 ? entry.revents : -1;
}

static inline int selected(int fd) {
  fd_set set;
  struct timeval now = {0, 0};
  FD_ZERO(&set);
  if (fd >= 0) FD_SET(fd, &set);
  return select(fd + 1, &set, NULL, NULL, &now);
}

// The events of the one descriptor in the set, or minus one.
static inline int waited(int set, int ms) {
  struct epoll_event event = {0};
  return epoll_wait(set, &event, 1, ms) == 1 ? (int)event.events : -1;
}

static inline int in_set(int set, int operation, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data = {.u64 = 7}};
  return epoll_ctl(set, operation, fd, &event);
}

static inline void stay_on_cpu_0(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  sched_setaffinity(0, sizeof set, &set);
}

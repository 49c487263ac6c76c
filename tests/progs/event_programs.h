// SPDX-License-Identifier: Apache-2.0
// Programs at the entries of system calls, as tools write them: each way to count with a map, how they are attached,
// and places where calls are made.
#pragma once

#include "counter.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define MAP(reg, fd) \
  {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = reg, .src_reg = BPF_PSEUDO_MAP_FD, .imm = fd}, {.code = 0}
#define MOVE(to, from) {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to, .src_reg = from}
#define SET(reg, number) {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = reg, .imm = number}
#define ADD(reg, number) {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = reg, .imm = number}
#define ADD_REG(to, from) {.code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = to, .src_reg = from}
#define SHIFT(reg, bits) {.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = reg, .imm = bits}
#define LOAD(to, from, at) {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = to, .src_reg = from, .off = at}
#define STORE(to, at, from) {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = to, .src_reg = from, .off = at}
#define STORE_WORD(to, at, from) {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = to, .src_reg = from, .off = at}
#define PUT(to, at, number) {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = to, .off = at, .imm = number}
#define ADD_TO(to, at, from) \
  {.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = to, .src_reg = from, .off = at, .imm = BPF_ADD}
#define IF_EQUAL(reg, number, skip) {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = reg, .imm = number, .off = skip}
#define IF_SAME(reg, other, skip) {.code = BPF_JMP | BPF_JEQ | BPF_X, .dst_reg = reg, .src_reg = other, .off = skip}
#define IF_OTHER(reg, number, skip) {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = reg, .imm = number, .off = skip}
#define SKIP(count) {.code = BPF_JMP | BPF_JA, .off = count}
#define HELP(helper) {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_##helper}
#define CALL_BEHIND(count) {.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = count}
#define EXIT {.code = BPF_JMP | BPF_EXIT}
#define LEAVE SET(0, 0), EXIT
// Of the stack, for helpers.
#define AT_FRAME(reg, offset) MOVE(reg, 10), ADD(reg, offset)

// Where a program runs: at a trace event of the system `syscalls`, or at the raw tracepoint for one call.
struct place {
  const char* event;  // null: the raw tracepoint
  int number;
  pid_t pid;  // only in this process; 0: in all
};

// Loads `body` behind what tells the calls that it is for; it finds the context in r6. A descriptor, or -1 and errno.
static inline int load_at(struct place place, const struct bpf_insn* body, unsigned count) {
  enum { kMost = 160 };
  struct bpf_insn code[kMost] = {MOVE(6, 1)};
  const struct bpf_insn of_call[] = {LOAD(0, 6, 8), IF_EQUAL(0, place.number, 2), LEAVE};
  const struct bpf_insn of_process[] = {HELP(get_current_pid_tgid), SHIFT(0, 32), IF_EQUAL(0, place.pid, 2), LEAVE};
  unsigned length = 1;
  if (!place.event) memcpy(code + length, of_call, sizeof of_call), length += LENGTH(of_call);
  if (place.pid) memcpy(code + length, of_process, sizeof of_process), length += LENGTH(of_process);
  if (length + count > kMost) abort();
  memcpy(code + length, body, count * sizeof *body);
  union bpf_attr attr = {.prog_type = place.event ? BPF_PROG_TYPE_TRACEPOINT : BPF_PROG_TYPE_RAW_TRACEPOINT};
  attr.insn_cnt = length + count;
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

// What keeps the program attached, or -1 and errno.
static inline int attach_at(struct place place, int program) {
  if (!place.event) {
    union bpf_attr attr = {.raw_tracepoint = {.name = (uintptr_t) "sys_enter", .prog_fd = (uint32_t)program}};
    return bpf_call(BPF_RAW_TRACEPOINT_OPEN, &attr);
  }
  struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof event, .sample_period = 1};
  event.config = event_id(place.event);
  const int fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static inline int make_map(unsigned type, unsigned key, unsigned value, unsigned entries, unsigned flags) {
  union bpf_attr attr = {.map_type = type, .key_size = key, .value_size = value, .max_entries = entries};
  attr.map_flags = flags;
  return bpf_call(BPF_MAP_CREATE, &attr);
}

// 0 or -errno. A key is as good for four bytes as for eight.
static inline long ask_map(int command, int map, uint64_t key, const void* value, uint64_t flags) {
  union bpf_attr attr = {.map_fd = (uint32_t)map, .key = (uintptr_t)&key, .value = (uintptr_t)value, .flags = flags};
  return bpf_call(command, &attr) == 0 ? 0 : -errno;
}

enum counting { kInArray, kInPerCpuArray, kInHash, kInLruHash, kInPerCpuHash, kCountings };

static const struct {
  const char* name;
  unsigned type, key, entries;
} kCounting[kCountings] = {
    {"array", BPF_MAP_TYPE_ARRAY, 4, 1},
    {"per-CPU array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 1},
    {"hash", BPF_MAP_TYPE_HASH, 4, 10240},
    {"LRU hash", BPF_MAP_TYPE_LRU_HASH, 4, 10240},
    {"per-CPU hash", BPF_MAP_TYPE_PERCPU_HASH, 8, 10240},
};

struct tally {
  enum counting counting;
  int map, link;
};

// Arrays: the only element; hashes: by the thread; per-CPU hashes, the way bpftrace has it: by the process.
static inline int load_counting(enum counting counting, struct place place, int map) {
  const struct bpf_insn in_array[] = {ELEMENT(map, 0), IF_EQUAL(0, 0, 2), SET(1, 1), ADD_TO(0, 0, 1), LEAVE};
  const struct bpf_insn per_cpu[] = {
      ELEMENT(map, 0), IF_EQUAL(0, 0, 3), LOAD(1, 0, 0), ADD(1, 1), STORE(0, 0, 1), LEAVE};
  const struct bpf_insn in_hash[] = {
      HELP(get_current_pid_tgid), STORE_WORD(10, -4, 0), LOOK_UP(map), IF_OTHER(0, 0, 10),
      PUT(10, -16, 1), AT_FRAME(2, -4), AT_FRAME(3, -16), MAP(1, map), SET(4, BPF_NOEXIST), HELP(map_update_elem),
      SKIP(2), SET(1, 1), ADD_TO(0, 0, 1), LEAVE};
  const struct bpf_insn by_process[] = {
      HELP(get_current_pid_tgid), SHIFT(0, 32), STORE(10, -8, 0), AT_FRAME(2, -8), MAP(1, map), HELP(map_lookup_elem),
      SET(1, 1), IF_EQUAL(0, 0, 2), LOAD(1, 0, 0), ADD(1, 1), STORE(10, -16, 1),
      AT_FRAME(2, -8), AT_FRAME(3, -16), MAP(1, map), SET(4, BPF_ANY), HELP(map_update_elem), LEAVE};
  switch (counting) {
    case kInArray: return load_at(place, in_array, LENGTH(in_array));
    case kInPerCpuArray: return load_at(place, per_cpu, LENGTH(per_cpu));
    case kInPerCpuHash: return load_at(place, by_process, LENGTH(by_process));
    default: return load_at(place, in_hash, LENGTH(in_hash));
  }
}

// A link of -1: it could not be attached.
static inline struct tally start_tally(enum counting counting, struct place place) {
  struct tally tally = {counting, -1, -1};
  tally.map = make_map(kCounting[counting].type, kCounting[counting].key, 8, kCounting[counting].entries, 0);
  const int program = load_counting(counting, place, tally.map);
  if (program >= 0) tally.link = attach_at(place, program), close(program);
  return tally;
}

// Of all CPUs; 0 where there is no such element.
static inline long tallied(struct tally tally, uint64_t key) {
  enum { kMostCpus = 512 };
  static uint64_t values[kMostCpus];
  uint64_t sum = 0;
  const int array = tally.counting == kInArray || tally.counting == kInPerCpuArray;
  memset(values, 0, sizeof values);
  if (ask_map(BPF_MAP_LOOKUP_ELEM, tally.map, array ? 0 : key, values, 0) == 0)
    for (int i = 0; i < kMostCpus; ++i) sum += values[i];
  return (long)sum;
}

static inline void end_tally(struct tally tally) { close(tally.link), close(tally.map); }

// Each call at one place of its own. The number is set by an instruction of five bytes right before the system call.
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define SITE(call)                                           \
  long site_##call(long, long, long, long, long, long);      \
  extern const char after_##call[];                          \
  asm(".text\n.balign 16, 0xcc\n"                            \
      "site_" #call ":\n"                                    \
      "  mov %rcx, %r10\n"                                   \
      "  mov $" TEXT(__NR_##call) ", %eax\n"                 \
      "  syscall\n"                                          \
      "after_" #call ":\n"                                   \
      "  ret\n")
SITE(getppid);

static inline long call(void) { return site_getppid(0, 0, 0, 0, 0, 0); }
static inline void call_often(int count) {
  for (int i = 0; i < count; ++i) call();
}
static inline struct place of_us(const char* event) { return (struct place){event, 0, getpid()}; }
static inline struct place getppid_of_us(void) { return of_us("sys_enter_getppid"); }
static inline struct place getppid_of_all(void) { return (struct place){"sys_enter_getppid", 0, 0}; }

static inline struct tally checked_tally(enum counting counting, struct place place) {
  const struct tally tally = start_tally(counting, place);
  if (tally.link < 0) printf("%s at %s: errno %d\n", kCounting[counting].name, place.event ?: "sys_enter", errno);
  return tally;
}

static inline uint64_t key_of(struct tally tally) { return tally.counting == kInPerCpuHash ? getpid() : gettid(); }
static inline long of_this_thread(struct tally tally) { return tallied(tally, key_of(tally)); }

// Is there bpf(), and are there events? Where they are demanded it says that they are not.
static inline int can_count(void) {
  const int map = counter_map(), can = is_open(map) && event_id("sys_enter_getppid");
  if (is_open(map)) close(map);
  if (!can && demanded()) printf("no bpf(): errno %d\n", errno);
  return can;
}

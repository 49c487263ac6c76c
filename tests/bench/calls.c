// SPDX-License-Identifier: Apache-2.0
#include "calls.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { kRounds = 7, kProgram = 4000, kEntries = 1024 };

static bench_bpf bpf;
static const char* wanted;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t pointer(const void* p) {
  return (uint64_t)(uintptr_t)p;
}

static long must(long result, const char* what) {
  if (result < 0) {
    printf("%s failed\n", what);
    exit(1);
  }
  return result;
}

static void report(const char* name, double nanoseconds, const char* unit) {
  printf("%s\t%.1f\t%s\n", name, nanoseconds, unit);
  fflush(stdout);
}

// The best of several rounds, per operation.
typedef void (*operation)(unsigned i, void* context);
static void measure(const char* name, unsigned count, operation run, void* context) {
  if (!strstr(name, wanted)) return;
  double best = 1e18;
  if (!count) count = 1;
  run(0, context);
  for (int round = 0; round < kRounds; ++round) {
    double start = now();
    for (unsigned i = 0; i < count; ++i) run(i, context);
    double each = (now() - start) / count;
    if (each < best) best = each;
  }
  report(name, best, "ns");
}

static int map_create(uint32_t type, uint32_t key, uint32_t value, uint32_t entries) {
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.map_type = type;
  attr.key_size = key;
  attr.value_size = value;
  attr.max_entries = entries;
  return (int)must(bpf(BPF_MAP_CREATE, &attr, sizeof attr), "BPF_MAP_CREATE");
}

struct element {
  union bpf_attr attr;
  uint32_t key;
  uint64_t value;
};

static void element_of(struct element* e, int map) {
  memset(e, 0, sizeof *e);
  e->attr.map_fd = (uint32_t)map;
  e->attr.key = pointer(&e->key);
  e->attr.value = pointer(&e->value);
}

static void lookup(unsigned i, void* context) {
  struct element* e = context;
  e->key = i % kEntries;
  must(bpf(BPF_MAP_LOOKUP_ELEM, &e->attr, sizeof e->attr), "BPF_MAP_LOOKUP_ELEM");
}

static void lookup_missing(unsigned i, void* context) {
  struct element* e = context;
  e->key = 100000 + i;
  bpf(BPF_MAP_LOOKUP_ELEM, &e->attr, sizeof e->attr);
}

static void update(unsigned i, void* context) {
  struct element* e = context;
  e->key = i % kEntries;
  must(bpf(BPF_MAP_UPDATE_ELEM, &e->attr, sizeof e->attr), "BPF_MAP_UPDATE_ELEM");
}

static void bench_elements(const char* type_name, uint32_t type, unsigned scale) {
  struct element e;
  char name[64];
  element_of(&e, map_create(type, 4, 8, kEntries));
  for (unsigned i = 0; i < kEntries; ++i) update(i, &e);
  snprintf(name, sizeof name, "lookup, %s", type_name);
  measure(name, 50000 / scale, lookup, &e);
  snprintf(name, sizeof name, "lookup of none, %s", type_name);
  measure(name, 50000 / scale, lookup_missing, &e);
  snprintf(name, sizeof name, "update, %s", type_name);
  measure(name, 50000 / scale, update, &e);
  close((int)e.attr.map_fd);
}

#define I(c, d, s, o, i) ((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define SET(d, i) I(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define COPY(d, s) I(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ALU(op, d, i) I(BPF_ALU64 | (op) | BPF_K, d, 0, 0, i)
#define STORE(size, d, o, i) I(BPF_ST | (size) | BPF_MEM, d, 0, o, i)
#define STORE_REG(size, d, s, o) I(BPF_STX | (size) | BPF_MEM, d, s, o, 0)
#define LOAD(size, d, s, o) I(BPF_LDX | (size) | BPF_MEM, d, s, o, 0)
#define JUMP(op, d, i, o) I(BPF_JMP | (op) | BPF_K, d, 0, o, i)
#define CALL(f) I(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT() I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define MAP(d, fd) I(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), I(0, 0, 0, 0, 0)

struct program {
  uint32_t type;
  const struct bpf_insn* insns;
  unsigned count;
};

static int prog_load(const struct program* p) {
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.prog_type = p->type;
  attr.insns = pointer(p->insns);
  attr.insn_cnt = p->count;
  attr.license = pointer("GPL");
  return (int)must(bpf(BPF_PROG_LOAD, &attr, sizeof attr), "BPF_PROG_LOAD");
}

static void load_and_close(unsigned i, void* context) {
  (void)i;
  close(prog_load(context));
}

static void bench_load(const char* name, const struct bpf_insn* insns, unsigned count, unsigned times) {
  struct program p = {BPF_PROG_TYPE_SOCKET_FILTER, insns, count};
  measure(name, times, load_and_close, &p);
}

// Straight-line arithmetic.
static void bench_load_straight(void) {
  static struct bpf_insn insns[kProgram];
  unsigned n = 0;
  insns[n++] = SET(0, 1);
  while (n < kProgram - 1) {
    switch (n & 3) {
      case 0: insns[n] = ALU(BPF_ADD, 0, (int)n); break;
      case 1: insns[n] = ALU(BPF_XOR, 0, 0x5a5a); break;
      case 2: insns[n] = ALU(BPF_MUL, 0, 3); break;
      default: insns[n] = ALU(BPF_RSH, 0, 1); break;
    }
    ++n;
  }
  insns[n++] = EXIT();
  bench_load("load of 4000 instructions, straight", insns, n, 20);
}

// A branch on data of the packet, and a spill and a fill, every 8 instructions.
static void bench_load_branchy(void) {
  static struct bpf_insn insns[kProgram];
  unsigned n = 0;
  insns[n++] = COPY(6, 1);
  insns[n++] = SET(0, 0);
  while (n + 8 < kProgram - 1) {
    const struct bpf_insn block[8] = {LOAD(BPF_W, 7, 6, 0),  // __sk_buff.len
                                      ALU(BPF_AND, 7, 0xff),
                                      STORE_REG(BPF_DW, 10, 7, -8),
                                      JUMP(BPF_JGT, 7, (int)(n & 0x7f), 2),
                                      ALU(BPF_ADD, 0, 1),
                                      ALU(BPF_AND, 0, 0xffff),
                                      LOAD(BPF_DW, 8, 10, -8),
                                      SET(8, 0)};
    memcpy(insns + n, block, sizeof block);
    n += 8;
  }
  while (n < kProgram - 1) insns[n++] = ALU(BPF_ADD, 0, 0);
  insns[n++] = EXIT();
  bench_load("load of 4000 instructions, branchy", insns, n, 10);
}

static const struct bpf_insn trivial[] = {SET(0, 0), EXIT()};

struct run {
  union bpf_attr attr;
  unsigned char packet[64];
};

static void test_run(unsigned i, void* context) {
  struct run* r = context;
  (void)i;
  must(bpf(BPF_PROG_TEST_RUN, &r->attr, sizeof r->attr), "BPF_PROG_TEST_RUN");
}

static int run_of(struct run* r, const struct bpf_insn* insns, unsigned count, unsigned repeat) {
  struct program p = {BPF_PROG_TYPE_SCHED_CLS, insns, count};
  memset(r, 0, sizeof *r);
  r->attr.test.prog_fd = (uint32_t)prog_load(&p);
  r->attr.test.data_in = pointer(r->packet);
  r->attr.test.data_size_in = sizeof r->packet;
  r->attr.test.repeat = repeat;
  return (int)r->attr.test.prog_fd;
}

// What one run costs, by the kernel's own clock.
static void bench_run(const char* name, const struct bpf_insn* insns, unsigned count, unsigned repeat) {
  struct run r;
  if (!strstr(name, wanted)) return;
  uint32_t best = UINT32_MAX;
  int fd = run_of(&r, insns, count, repeat);
  for (int round = 0; round < kRounds; ++round) {
    test_run(0, &r);
    if (r.attr.test.duration < best) best = r.attr.test.duration;
  }
  report(name, best, "ns");
  close(fd);
}

static void bench_runs(void) {
  enum { kRepeat = 200000 };
  bench_run("run, trivial", trivial, 2, kRepeat);
  const struct bpf_insn loop[] = {SET(0, 1),          SET(1, 250),
                                  ALU(BPF_ADD, 0, 7), ALU(BPF_XOR, 0, 0x55),
                                  ALU(BPF_MUL, 0, 3), ALU(BPF_AND, 0, 0xffff),
                                  ALU(BPF_SUB, 1, 1), JUMP(BPF_JNE, 1, 0, -6),
                                  SET(0, 42),         EXIT()};
  bench_run("run, loop of 250 times 4 operations", loop, sizeof loop / sizeof *loop, kRepeat / 4);

  int array = map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 16), hash = map_create(BPF_MAP_TYPE_HASH, 4, 8, kEntries);
  const struct bpf_insn array_count[] = {STORE(BPF_W, 10, -4, 3),
                                         COPY(2, 10),
                                         ALU(BPF_ADD, 2, -4),
                                         MAP(1, array),
                                         CALL(BPF_FUNC_map_lookup_elem),
                                         JUMP(BPF_JEQ, 0, 0, 4),
                                         LOAD(BPF_DW, 1, 0, 0),
                                         ALU(BPF_ADD, 1, 1),
                                         STORE_REG(BPF_DW, 0, 1, 0),
                                         SET(0, 1),
                                         EXIT()};
  bench_run("run, array lookup and increment", array_count, sizeof array_count / sizeof *array_count, kRepeat);
  struct element e;
  element_of(&e, hash);
  update(3, &e);
  const struct bpf_insn hash_count[] = {STORE(BPF_W, 10, -4, 3),
                                        COPY(2, 10),
                                        ALU(BPF_ADD, 2, -4),
                                        MAP(1, hash),
                                        CALL(BPF_FUNC_map_lookup_elem),
                                        JUMP(BPF_JEQ, 0, 0, 3),
                                        SET(1, 1),
                                        I(BPF_STX | BPF_DW | BPF_ATOMIC, 0, 1, 0, BPF_ADD),
                                        SET(0, 1),
                                        EXIT()};
  bench_run("run, hash lookup and atomic add", hash_count, sizeof hash_count / sizeof *hash_count, kRepeat);
  // 16 bytes a record; the ring never fills.
  int ring = map_create(BPF_MAP_TYPE_RINGBUF, 0, 0, 32u << 20);
  const struct bpf_insn output[] = {SET(1, 7),
                                    STORE_REG(BPF_DW, 10, 1, -8),
                                    MAP(1, ring),
                                    COPY(2, 10),
                                    ALU(BPF_ADD, 2, -8),
                                    SET(3, 8),
                                    SET(4, BPF_RB_NO_WAKEUP),
                                    CALL(BPF_FUNC_ringbuf_output),
                                    EXIT()};
  bench_run("run, ring buffer output of 8 bytes", output, sizeof output / sizeof *output, kRepeat);
  const struct bpf_insn time[] = {CALL(BPF_FUNC_ktime_get_ns), SET(0, 0), EXIT()};
  bench_run("run, ktime_get_ns", time, sizeof time / sizeof *time, kRepeat);
  close(array), close(hash), close(ring);
}

int bench_calls(bench_bpf answer, unsigned scale, const char* pattern) {
  bpf = answer;
  wanted = pattern;
  bench_elements("array", BPF_MAP_TYPE_ARRAY, scale);
  bench_elements("hash", BPF_MAP_TYPE_HASH, scale);
  struct run r;
  int fd = run_of(&r, trivial, 2, 1);
  measure("test run of a trivial program", 20000 / scale, test_run, &r);
  close(fd);
  bench_load("load of 2 instructions", trivial, 2, 200);
  bench_load_straight();
  bench_load_branchy();
  bench_runs();
  return 0;
}

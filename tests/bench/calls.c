// SPDX-License-Identifier: Apache-2.0
#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { kProgram = 4000, kEntries = 1024 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

// The best of several rounds, per operation.
typedef void (*operation)(unsigned i, void* context);
static void measure(const char* name, unsigned count, operation run, void* context) {
  if (!strstr(name, bench_wanted)) return;
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
  must(bench_ask(BPF_MAP_LOOKUP_ELEM, &e->attr, sizeof e->attr), "BPF_MAP_LOOKUP_ELEM");
}

static void lookup_missing(unsigned i, void* context) {
  struct element* e = context;
  e->key = 100000 + i;
  bench_ask(BPF_MAP_LOOKUP_ELEM, &e->attr, sizeof e->attr);
}

static void update(unsigned i, void* context) {
  struct element* e = context;
  e->key = i % kEntries;
  must(bench_ask(BPF_MAP_UPDATE_ELEM, &e->attr, sizeof e->attr), "BPF_MAP_UPDATE_ELEM");
}

enum { kBatch = 1000 };

static void lookup_batch(unsigned i, void* context) {
  static uint32_t keys[kBatch];
  static uint64_t values[kBatch];
  uint32_t next;
  union bpf_attr attr = {.batch = {.map_fd = *(const uint32_t*)context, .count = kBatch}};
  (void)i;
  attr.batch.keys = pointer(keys);
  attr.batch.values = pointer(values);
  attr.batch.out_batch = pointer(&next);
  bench_ask(BPF_MAP_LOOKUP_BATCH, &attr, sizeof attr);
}

static void bench_batch(const char* type_name, uint32_t type) {
  struct element e;
  char name[64];
  const int map = map_create(type, 4, 8, kBatch, 0);
  element_of(&e, map);
  for (e.key = 0; e.key < kBatch; ++e.key)
    must(bench_ask(BPF_MAP_UPDATE_ELEM, &e.attr, sizeof e.attr), "BPF_MAP_UPDATE_ELEM");
  snprintf(name, sizeof name, "lookup batch of %d, %s", kBatch, type_name);
  measure(name, 200, lookup_batch, (void*)&map);
  close(map);
}

static void bench_elements(const char* type_name, uint32_t type, unsigned scale) {
  struct element e;
  char name[64];
  element_of(&e, map_create(type, 4, 8, kEntries, 0));
  for (unsigned i = 0; i < kEntries; ++i) update(i, &e);
  snprintf(name, sizeof name, "lookup, %s", type_name);
  measure(name, 50000 / scale, lookup, &e);
  snprintf(name, sizeof name, "lookup of none, %s", type_name);
  measure(name, 50000 / scale, lookup_missing, &e);
  snprintf(name, sizeof name, "update, %s", type_name);
  measure(name, 50000 / scale, update, &e);
  close((int)e.attr.map_fd);
}

static void load_and_close(unsigned i, void* context) {
  (void)i;
  close(prog_load(context));
}

static void bench_load(const char* name, const struct bpf_insn* insns, unsigned count, unsigned times) {
  struct program p = {.type = BPF_PROG_TYPE_SOCKET_FILTER, .insns = insns, .count = count};
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

int bench_calls(bench_bpf answer, unsigned scale, const char* pattern) {
  bench_ask = answer;
  bench_wanted = pattern;
  bench_elements("array", BPF_MAP_TYPE_ARRAY, scale);
  bench_elements("hash", BPF_MAP_TYPE_HASH, scale);
  bench_batch("array", BPF_MAP_TYPE_ARRAY);
  bench_batch("hash", BPF_MAP_TYPE_HASH);
  struct run r;
  const struct program p = {.type = BPF_PROG_TYPE_SCHED_CLS, .insns = trivial, .count = 2};
  int fd = run_of(&r, &p, 1);
  measure("test run of a trivial program", 20000 / scale, test_run, &r);
  close(fd);
  bench_load("load of 2 instructions", trivial, 2, 200);
  bench_load_straight();
  bench_load_branchy();
  bench_runs();
  return 0;
}

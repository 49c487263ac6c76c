// SPDX-License-Identifier: Apache-2.0
// Programs against the clock, by BPF_PROG_TEST_RUN: one row a program.
#include <linux/btf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

enum { kRepeat = 200000, kMost = 96 };

// Types: int; what has no arguments, and two functions of it.
static int load_btf(void) {
  static const char names[] = "\0int\0entry\0called";
  static const uint32_t types[] = {1,  BTF_KIND_INT << 24,        4, BTF_INT_SIGNED << 24 | 32,   //
                                   0,  BTF_KIND_FUNC_PROTO << 24, 1,                              //
                                   5,  BTF_KIND_FUNC << 24,       2,                              //
                                   11, BTF_KIND_FUNC << 24,       2};
  struct {
    struct btf_header header;
    uint32_t types[sizeof types / sizeof *types];
    char names[sizeof names];
  } blob = {.header = {.magic = BTF_MAGIC,
                       .version = 1,
                       .hdr_len = sizeof(struct btf_header),
                       .type_len = sizeof types,
                       .str_off = sizeof types,
                       .str_len = sizeof names}};
  memcpy(blob.types, types, sizeof types);
  memcpy(blob.names, names, sizeof names);
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.btf = pointer(&blob);
  attr.btf_size = sizeof blob.header + sizeof types + sizeof names;
  return (int)must(bench_ask(BPF_BTF_LOAD, &attr, sizeof attr), "BPF_BTF_LOAD");
}

static int btf;

// A program in the making.
struct text {
  struct bpf_insn insns[kMost];
  unsigned count;
  uint32_t functions[4];
  unsigned function_count;
};

static void put(struct text* t, const struct bpf_insn* insns, unsigned count) {
  memcpy(t->insns + t->count, insns, count * sizeof *insns);
  t->count += count;
}
#define PUT(text, ...)                                    \
  do {                                                    \
    const struct bpf_insn some[] = {__VA_ARGS__};         \
    put(text, some, sizeof some / sizeof *some);          \
  } while (0)

// Begins a function at the end of the text, to which the instruction at `from` leads.
static void begin_function(struct text* t, unsigned from) {
  if (!t->function_count) t->functions[t->function_count++] = 0;
  t->insns[from].imm = (int)(t->count - from - 1);
  t->functions[t->function_count++] = t->count;
}

// What one run costs, by the kernel's own clock.
static void measure(const char* name, const struct text* t, unsigned repeat) {
  struct run r;
  char full[64];
  snprintf(full, sizeof full, "run, %s", name);
  if (!strstr(full, bench_wanted)) return;
  const struct program p = {BPF_PROG_TYPE_SCHED_CLS, t->insns, t->count, btf, t->functions, t->function_count};
  const int fd = run_of(&r, &p, repeat);
  uint32_t best = UINT32_MAX;
  for (int round = 0; round < kRounds; ++round) {
    test_run(0, &r);
    if (r.attr.test.duration < best) best = r.attr.test.duration;
  }
  report(full, best, "ns");
  close(fd);
}

static void row(const char* name, unsigned repeat, const struct bpf_insn* insns, unsigned count) {
  struct text t = {.count = 0};
  put(&t, insns, count);
  PUT(&t, SET(0, 1), EXIT());
  measure(name, &t, repeat);
}
#define ROW(name, repeat, ...)                                  \
  do {                                                          \
    const struct bpf_insn body[] = {__VA_ARGS__};               \
    row(name, repeat, body, sizeof body / sizeof *body);        \
  } while (0)

// R1 the map, R2 the key 3, which lies at fp-8, R3 the 8 bytes at fp-16.
#define ELEMENT(map)                                                                                       \
  STORE(BPF_DW, 10, -8, 3), STORE(BPF_DW, 10, -16, 1), COPY(2, 10), ALU(BPF_ADD, 2, -8), COPY(3, 10), ALU(BPF_ADD, 3, -16), \
      MAP(1, map)

static int filled(uint32_t type, uint32_t flags) {
  const uint32_t entries = 1024, key = 3;
  uint64_t value[64] = {0};  // of each CPU
  const int map = map_create(type, 4, 8, entries, flags);
  map_update(map, &key, value);
  return map;
}

static void bench_lookups(void) {
  static const struct {
    const char* name;
    uint32_t type;
  } kinds[] = {{"array", BPF_MAP_TYPE_ARRAY},
               {"per-CPU array", BPF_MAP_TYPE_PERCPU_ARRAY},
               {"hash", BPF_MAP_TYPE_HASH},
               {"per-CPU hash", BPF_MAP_TYPE_PERCPU_HASH},
               {"LRU hash", BPF_MAP_TYPE_LRU_HASH},
               {"LRU per-CPU hash", BPF_MAP_TYPE_LRU_PERCPU_HASH}};
  char name[64];
  for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
    const int map = filled(kinds[i].type, 0);
    snprintf(name, sizeof name, "%s lookup and atomic add", kinds[i].name);
    ROW(name, kRepeat, ELEMENT(map), CALL(BPF_FUNC_map_lookup_elem), JUMP(BPF_JEQ, 0, 0, 2), SET(1, 1),
        I(BPF_STX | BPF_DW | BPF_ATOMIC, 0, 1, 0, BPF_ADD));
    snprintf(name, sizeof name, "%s update", kinds[i].name);
    ROW(name, kRepeat, ELEMENT(map), SET(4, 0), CALL(BPF_FUNC_map_update_elem));
    if (i >= 2) {
      snprintf(name, sizeof name, "%s delete and update", kinds[i].name);
      ROW(name, kRepeat, ELEMENT(map), CALL(BPF_FUNC_map_delete_elem), ELEMENT(map), SET(4, 0), CALL(BPF_FUNC_map_update_elem));
    }
    close(map);
  }
}

static void bench_other_maps(void) {
  const int trie = map_create(BPF_MAP_TYPE_LPM_TRIE, 8, 8, 16, BPF_F_NO_PREALLOC);
  for (uint32_t length = 8; length <= 32; length += 8) {
    const uint32_t key[] = {length, 0x04030201};
    const uint64_t value = length;
    map_update(trie, key, &value);
  }
  ROW("trie lookup", kRepeat, STORE(BPF_W, 10, -8, 32), STORE(BPF_W, 10, -4, 0x04030201), COPY(2, 10), ALU(BPF_ADD, 2, -8),
      MAP(1, trie), CALL(BPF_FUNC_map_lookup_elem));
  close(trie);
  const int queue = map_create(BPF_MAP_TYPE_QUEUE, 0, 8, 16, 0);
  ROW("queue push and pop", kRepeat, ELEMENT(queue), SET(3, 0), CALL(BPF_FUNC_map_push_elem), ELEMENT(queue),
      CALL(BPF_FUNC_map_pop_elem));
  close(queue);
  const int bloom = map_create(BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 1024, 0);
  ROW("bloom filter push and peek", kRepeat, ELEMENT(bloom), SET(3, 0), CALL(BPF_FUNC_map_push_elem), ELEMENT(bloom),
      CALL(BPF_FUNC_map_peek_elem));
  close(bloom);
  // 16 bytes a record; the ring never fills.
  const int ring = map_create(BPF_MAP_TYPE_RINGBUF, 0, 0, 32u << 20, 0);
  ROW("ring buffer output of 8 bytes", kRepeat, ELEMENT(ring), SET(3, 8), SET(4, BPF_RB_NO_WAKEUP),
      CALL(BPF_FUNC_ringbuf_output));
  close(ring);
  const int reserved = map_create(BPF_MAP_TYPE_RINGBUF, 0, 0, 32u << 20, 0);
  ROW("ring buffer reserve and submit", kRepeat, MAP(1, reserved), SET(2, 8), SET(3, 0), CALL(BPF_FUNC_ringbuf_reserve),
      JUMP(BPF_JEQ, 0, 0, 4), STORE(BPF_DW, 0, 0, 7), COPY(1, 0), SET(2, BPF_RB_NO_WAKEUP), CALL(BPF_FUNC_ringbuf_submit));
  close(reserved);
  const int inner = filled(BPF_MAP_TYPE_ARRAY, 0);
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.map_type = BPF_MAP_TYPE_HASH_OF_MAPS;
  attr.key_size = attr.value_size = 4;
  attr.max_entries = 16;
  attr.inner_map_fd = (uint32_t)inner;
  const int outer = (int)must(bench_ask(BPF_MAP_CREATE, &attr, sizeof attr), "BPF_MAP_CREATE");
  const uint32_t key = 3;
  map_update(outer, &key, &inner);
  ROW("hash of arrays lookup", kRepeat, ELEMENT(outer), CALL(BPF_FUNC_map_lookup_elem), JUMP(BPF_JEQ, 0, 0, 4), COPY(1, 0),
      COPY(2, 10), ALU(BPF_ADD, 2, -8), CALL(BPF_FUNC_map_lookup_elem));
  close(inner), close(outer);
}

static void bench_helpers(void) {
  static const struct {
    const char* name;
    int helper;
  } plain[] = {{"ktime_get_ns", BPF_FUNC_ktime_get_ns},
               {"jiffies64", BPF_FUNC_jiffies64},
               {"get_prandom_u32", BPF_FUNC_get_prandom_u32},
               {"get_smp_processor_id", BPF_FUNC_get_smp_processor_id},
               {"get_numa_node_id", BPF_FUNC_get_numa_node_id}};
  for (unsigned i = 0; i < sizeof plain / sizeof *plain; ++i) ROW(plain[i].name, kRepeat, CALL(plain[i].helper));
  ROW("skb_load_bytes of 8", kRepeat, SET(2, 0), COPY(3, 10), ALU(BPF_ADD, 3, -8), SET(4, 8), CALL(BPF_FUNC_skb_load_bytes));
  ROW("skb_store_bytes of 8", kRepeat, STORE(BPF_DW, 10, -8, 1), SET(2, 16), COPY(3, 10), ALU(BPF_ADD, 3, -8), SET(4, 8), SET(5, 0),
      CALL(BPF_FUNC_skb_store_bytes));
  ROW("csum_diff of 8", kRepeat, STORE(BPF_DW, 10, -8, 1), SET(1, 0), SET(2, 0), COPY(3, 10), ALU(BPF_ADD, 3, -8), SET(4, 8), SET(5, 0),
      CALL(BPF_FUNC_csum_diff));
}

// Calls of the program's own functions.
static void bench_calls_within(void) {
  struct text t = {.count = 0};
  PUT(&t, SET(6, 10));
  unsigned call = t.count;
  PUT(&t, I(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0), ALU(BPF_SUB, 6, 1), JUMP(BPF_JNE, 6, 0, -3), SET(0, 1), EXIT());
  begin_function(&t, call);
  PUT(&t, SET(0, 1), EXIT());
  measure("10 calls of a function", &t, kRepeat);

  for (int flags = 0; flags < 2; ++flags) {
    memset(&t, 0, sizeof t);
    // With flags that the verifier does not know the helper is called.
    if (flags)
      PUT(&t, LOAD(BPF_W, 4, 1, 48));  // __sk_buff.cb, which is 0
    else
      PUT(&t, SET(4, 0));
    call = t.count + 1;
    PUT(&t, SET(1, 100), I(BPF_LD | BPF_DW | BPF_IMM, 2, BPF_PSEUDO_FUNC, 0, 0), I(0, 0, 0, 0, 0), SET(3, 0), CALL(BPF_FUNC_loop), SET(0, 1),
        EXIT());
    begin_function(&t, call);
    PUT(&t, SET(0, 0), EXIT());
    measure(flags ? "loop of 100, called" : "loop of 100", &t, kRepeat / 10);
  }
  const int array = map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 100, 0);
  memset(&t, 0, sizeof t);
  call = t.count + 2;
  PUT(&t, MAP(1, array), I(BPF_LD | BPF_DW | BPF_IMM, 2, BPF_PSEUDO_FUNC, 0, 0), I(0, 0, 0, 0, 0), SET(3, 0), SET(4, 0),
      CALL(BPF_FUNC_for_each_map_elem), SET(0, 1), EXIT());
  begin_function(&t, call);
  PUT(&t, SET(0, 0), EXIT());
  measure("each of 100 elements of an array", &t, kRepeat / 10);
  close(array);
}

static void bench_tail_calls(void) {
  static const struct bpf_insn leaf[] = {SET(0, 1), EXIT()};
  const struct program target = {.type = BPF_PROG_TYPE_SCHED_CLS, .insns = leaf, .count = 2};
  const int programs = map_create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0), to = prog_load(&target);
  const uint32_t key = 1;
  map_update(programs, &key, &to);
  ROW("tail call", kRepeat, MAP(2, programs), SET(3, 1), CALL(BPF_FUNC_tail_call));
  ROW("tail call, index unknown", kRepeat, LOAD(BPF_W, 3, 1, 48), ALU(BPF_OR, 3, 1), MAP(2, programs), CALL(BPF_FUNC_tail_call));
  close(programs), close(to);
}

static void bench_arithmetic(void) {
  static const struct bpf_insn trivial[] = {SET(0, 0)};
  row("trivial", kRepeat, trivial, 1);
  ROW("loop of 250 times 4 operations", kRepeat / 4, SET(0, 1), SET(1, 250), ALU(BPF_ADD, 0, 7), ALU(BPF_XOR, 0, 0x55),
      ALU(BPF_MUL, 0, 3), ALU(BPF_AND, 0, 0xffff), ALU(BPF_SUB, 1, 1), JUMP(BPF_JNE, 1, 0, -6));
  ROW("loop of 250 divisions", kRepeat / 10, SET(0, -1), SET(1, 250), SET(2, 3), I(BPF_ALU64 | BPF_DIV | BPF_X, 0, 2, 0, 0),
      ALU(BPF_OR, 0, 255), ALU(BPF_SUB, 1, 1), JUMP(BPF_JNE, 1, 0, -4));
  ROW("loop of 250 shifts by a register", kRepeat / 10, SET(0, 1), SET(1, 250), SET(2, 3), I(BPF_ALU64 | BPF_LSH | BPF_X, 0, 2, 0, 0),
      I(BPF_ALU64 | BPF_RSH | BPF_X, 0, 1, 0, 0), ALU(BPF_OR, 0, 255), ALU(BPF_SUB, 1, 1), JUMP(BPF_JNE, 1, 0, -5));
  ROW("loop of 250 spills and fills", kRepeat / 10, SET(0, 1), SET(1, 250), STORE_REG(BPF_DW, 10, 0, -8), STORE_REG(BPF_W, 10, 1, -16),
      LOAD(BPF_DW, 0, 10, -8), LOAD(BPF_W, 2, 10, -16), ALU(BPF_SUB, 1, 1), JUMP(BPF_JNE, 1, 0, -6));
  ROW("loop of 250 atomic fetch and or", kRepeat / 20, STORE(BPF_DW, 10, -8, 0), SET(1, 250), SET(2, 1),
      I(BPF_STX | BPF_DW | BPF_ATOMIC, 10, 2, -8, BPF_OR | BPF_FETCH), ALU(BPF_SUB, 1, 1), JUMP(BPF_JNE, 1, 0, -3));
}

void bench_runs(void) {
  btf = load_btf();
  bench_arithmetic();
  bench_lookups();
  bench_other_maps();
  bench_helpers();
  bench_calls_within();
  bench_tail_calls();
  close(btf);
}

// SPDX-License-Identifier: Apache-2.0
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bench_bpf bench_ask;
const char* bench_wanted;

long must(long result, const char* what) {
  if (result < 0) {
    printf("%s failed\n", what);
    exit(1);
  }
  return result;
}

void report(const char* name, double nanoseconds, const char* unit) {
  printf("%s\t%.1f\t%s\n", name, nanoseconds, unit);
  fflush(stdout);
}

int map_create(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags) {
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.map_type = type;
  attr.key_size = key;
  attr.value_size = value;
  attr.max_entries = entries;
  attr.map_flags = flags;
  return (int)must(bench_ask(BPF_MAP_CREATE, &attr, sizeof attr), "BPF_MAP_CREATE");
}

void map_update(int map, const void* key, const void* value) {
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.map_fd = (uint32_t)map;
  attr.key = pointer(key);
  attr.value = pointer(value);
  must(bench_ask(BPF_MAP_UPDATE_ELEM, &attr, sizeof attr), "BPF_MAP_UPDATE_ELEM");
}

int prog_load(const struct program* p) {
  struct bpf_func_info functions[4];
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.prog_type = p->type;
  attr.insns = pointer(p->insns);
  attr.insn_cnt = p->count;
  attr.license = pointer("GPL");
  if (p->function_count) {
    for (unsigned i = 0; i < p->function_count; ++i) {
      functions[i].insn_off = p->functions[i];
      functions[i].type_id = i ? kBtfCalled : kBtfEntry;
    }
    attr.prog_btf_fd = (uint32_t)p->btf;
    attr.func_info = pointer(functions);
    attr.func_info_rec_size = sizeof functions[0];
    attr.func_info_cnt = p->function_count;
  }
  return (int)must(bench_ask(BPF_PROG_LOAD, &attr, sizeof attr), "BPF_PROG_LOAD");
}

void test_run(unsigned i, void* context) {
  struct run* r = context;
  (void)i;
  must(bench_ask(BPF_PROG_TEST_RUN, &r->attr, sizeof r->attr), "BPF_PROG_TEST_RUN");
}

int run_of(struct run* r, const struct program* p, unsigned repeat) {
  memset(r, 0, sizeof *r);
  r->attr.test.prog_fd = (uint32_t)prog_load(p);
  r->attr.test.data_in = pointer(r->packet);
  r->attr.test.data_size_in = sizeof r->packet;
  r->attr.test.repeat = repeat;
  return (int)r->attr.test.prog_fd;
}

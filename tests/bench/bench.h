// SPDX-License-Identifier: Apache-2.0
// What the measurements of bpf() have in common.
#pragma once

#include <stdint.h>

#include "calls.h"

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

enum { kRounds = 7 };
enum { kBtfEntry = 3, kBtfCalled = 4 };  // types of functions in the BTF of bench_runs

extern bench_bpf bench_ask;
extern const char* bench_wanted;

static inline uint64_t pointer(const void* p) { return (uint64_t)(uintptr_t)p; }
long must(long result, const char* what);  // ends the process when it is negative
void report(const char* name, double nanoseconds, const char* unit);

int map_create(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags);
void map_update(int map, const void* key, const void* value);

struct program {
  uint32_t type;
  const struct bpf_insn* insns;
  unsigned count;
  int btf;                     // -1: none, and no functions but the main one
  const uint32_t* functions;  // their first instructions
  unsigned function_count;
};
int prog_load(const struct program* p);

struct run {
  union bpf_attr attr;
  unsigned char packet[64];
};
void test_run(unsigned i, void* run);
int run_of(struct run* r, const struct program* p, unsigned repeat);  // the program's descriptor

// What programs cost once they run.
void bench_runs(void);

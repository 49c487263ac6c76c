// SPDX-License-Identifier: Apache-2.0
// A program that would run for years, for the tracee programs: two loops of 2^23 turns, one within the other. Only
// where it is demanded: a bare kernel would run it.
#pragma once

#include "tracepoint.h"

#include <linux/btf.h>

#define INSN(c, d, s, o, i) \
  { .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) }
// bpf_loop(2^23, the function that begins at instruction `callback`, NULL, 0), seen from instruction `at`.
#define LOOP(at, callback)                                                                              \
  INSN(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 1 << 23),                                                  \
      INSN(BPF_LD | BPF_DW | BPF_IMM, 2, BPF_PSEUDO_FUNC, 0, (callback) - (at)-2), INSN(0, 0, 0, 0, 0), \
      INSN(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 0), INSN(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0),     \
      INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_loop), INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),  \
      INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

// BTF of the three functions: int m(void), int a(int, int).
static inline int load_function_types(void) {
  static const char strings[] = "\0int\0m\0a";
  const uint32_t types[] = {1,
                            BTF_KIND_INT << 24,
                            4,
                            BTF_INT_SIGNED << 24 | 32,
                            0,
                            BTF_KIND_FUNC_PROTO << 24,
                            1,
                            5,
                            BTF_KIND_FUNC << 24,
                            2,
                            0,
                            BTF_KIND_FUNC_PROTO << 24 | 2,
                            1,
                            7,
                            1,
                            7,
                            1,
                            7,
                            BTF_KIND_FUNC << 24,
                            4};
  struct {
    struct btf_header head;
    char rest[sizeof types + sizeof strings];
  } raw = {.head = {.magic = BTF_MAGIC,
                    .version = 1,
                    .hdr_len = sizeof(struct btf_header),
                    .type_len = sizeof types,
                    .str_off = sizeof types,
                    .str_len = sizeof strings}};
  memcpy(raw.rest, types, sizeof types);
  memcpy(raw.rest + sizeof types, strings, sizeof strings);
  union bpf_attr attr = {.btf_size = sizeof raw.head + sizeof types + sizeof strings};
  attr.btf = (uintptr_t)&raw;
  return bpf_call(BPF_BTF_LOAD, &attr);
}

static inline int load_long_program(unsigned type) {
  const struct bpf_insn code[] = {LOOP(0, 8), LOOP(8, 16), INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
                                  INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)};
  const uint32_t functions[] = {0, 3, 8, 5, 16, 5};
  union bpf_attr attr = {
      .prog_type = type, .insn_cnt = sizeof code / sizeof code[0], .func_info_rec_size = 8, .func_info_cnt = 3};
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t) "GPL";
  attr.prog_btf_fd = (uint32_t)load_function_types();
  attr.func_info = (uintptr_t)functions;
  return bpf_call(BPF_PROG_LOAD, &attr);
}

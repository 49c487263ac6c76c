// SPDX-License-Identifier: Apache-2.0
// Calls: helpers and their arguments, functions of the program, callbacks; source lines from BTF.
#include "tests/oracle/logs.h"

namespace oracle {

namespace {

constexpr u32 kTracepoint = BPF_PROG_TYPE_TRACEPOINT;

void ask_helpers() {
  ask_logs_of("helper of another type", {call(BPF_FUNC_skb_load_bytes), mov(r0, 0), leave()}, kTracepoint);
  ask_logs_of("wrong argument", {mov(r2, 0), mov(r3, 0), mov(r4, 8), call(BPF_FUNC_skb_load_bytes), leave()});
  ask_logs_of("size may be 0", {load(r4, r1, 0), mov_reg(r3, r10), add(r3, -8), mov(r2, 0), alu(BPF_AND, r4, 7),
                                call(BPF_FUNC_skb_load_bytes), leave()});
  ask_logs_of("size too large", {load(r4, r1, 0), mov_reg(r3, r10), add(r3, -8), mov(r2, 0), jump_if(BPF_JLT, r4, 1, 2),
                                 jump_if(BPF_JGT, r4, 16, 1), call(BPF_FUNC_skb_load_bytes), mov(r0, 0), leave()});
  ask_logs_of("arguments are gone", {call(BPF_FUNC_ktime_get_ns), mov_reg(r0, r1), leave()});
  ask_logs_of("callee-saved registers stay",
              {load(r6, r1, 0), call(BPF_FUNC_get_prandom_u32), alu_reg(BPF_ADD, r0, r6), leave()});
  ask_logs_of("refined result",
              {mov_reg(r1, r1), mov_reg(r2, r10), add(r2, -64), mov(r3, 64), mov(r4, 0), call(BPF_FUNC_get_stack),
               jump_if(BPF_JSLT, r0, 0, 2), mov_reg(r1, r10), alu_reg(BPF_SUB, r1, r0), mov(r0, 0), leave()},
              kTracepoint);
}

void ask_functions() {
  ask_logs_of("function", {mov(r1, 3), call_own(1), leave(), mov_reg(r0, r1), alu(BPF_LSH, r0, 2), leave()});
  ask_logs_of("function gets the stack",
              {store(r10, -8, 4, BPF_DW), mov_reg(r1, r10), add(r1, -8), call_own(2), load(r0, r10, -8, BPF_DW),
               leave(), load(r2, r1, 0, BPF_DW), add(r2, 1), store_reg(r1, 0, r2), mov(r0, 0), leave()});
  ask_logs_of("function returns a pointer to its stack",
              {call_own(2), load(r0, r0, 0, BPF_DW), leave(), mov_reg(r0, r10), add(r0, -8), leave()});
  ask_logs_of("functions nest too deep", [] {
    Program deep;
    for (int i = 0; i < 9; ++i) deep = deep + Program{call_own(1), leave()};
    return deep + nothing();
  }());
  ask_logs_of("stack of all frames too large",
              {store(r10, -300, 0), call_own(1), leave(), store(r10, -300, 0), mov(r0, 0), leave()});
  ask_logs_of("recursion", {call_own(0), call_own(-2), leave()});
}

// Three types: int, "int (void *ctx)", and the functions main and each.
struct Described {
  std::vector<bpf_func_info> functions;
  std::vector<bpf_line_info> lines;
};

void ask_described(const std::string& name, const Program& program, Described d) {
  const std::string strings("\0int\0ctx\0main\0each\0x.c\0  return a + b;\0  int a = 1;\0index\0", 58);
  constexpr u32 kIntName = 1, kCtx = 5, kMain = 9, kEach = 14, kIndex = 52;
  constexpr auto info = [](u32 kind, u32 vlen) { return kind << 24 | vlen; };
  std::vector<u32> types = {kIntName,
                            info(BTF_KIND_INT, 0),
                            4,
                            1u << 24 | 32,
                            0,
                            info(BTF_KIND_PTR, 0),
                            0,
                            0,
                            info(BTF_KIND_FUNC_PROTO, 1),
                            1,
                            kCtx,
                            2,
                            kMain,
                            info(BTF_KIND_FUNC, BTF_FUNC_GLOBAL),
                            3,
                            0,
                            info(BTF_KIND_FUNC_PROTO, 2),
                            1,
                            kIndex,
                            1,
                            kCtx,
                            2,
                            kEach,
                            info(BTF_KIND_FUNC, BTF_FUNC_STATIC),
                            5};
  int btf = make_btf(btf_blob(types, strings));
  bpf_attr attr = prog_attr(BPF_PROG_TYPE_SOCKET_FILTER, program);
  attr.prog_btf_fd = static_cast<u32>(btf);
  attr.func_info = ptr(d.functions.data());
  attr.func_info_cnt = static_cast<u32>(d.functions.size());
  attr.func_info_rec_size = sizeof(bpf_func_info);
  attr.line_info = ptr(d.lines.data());
  attr.line_info_cnt = static_cast<u32>(d.lines.size());
  attr.line_info_rec_size = sizeof(bpf_line_info);
  ask_logs_of(name, attr);
  close(btf);
}

void ask_described_programs() {
  constexpr u32 kMain = 4, kEach = 6, kFile = 19, kReturn = 23, kSet = 39;
  auto line = [](u32 at, u32 text, u32 number) { return bpf_line_info{at, kFile, text, number << 10 | 3}; };
  ask_described("source lines", {mov(r6, 1), load(r0, r1, 0), alu_reg(BPF_ADD, r0, r6), leave()},
                {{{0, kMain}}, {line(0, kSet, 3), line(1, kReturn, 4)}});
  ask_described("source line of a mistake", {mov(r6, 1), load(r0, r6, 0), leave()},
                {{{0, kMain}}, {line(0, kSet, 3), line(1, kReturn, 4)}});
  ask_described("line beyond the program", {mov(r0, 1), leave()},
                {{{0, kMain}}, {line(0, kSet, 3), line(7, kReturn, 4)}});
  Program loop = {mov(r1, 5),
                  insn(BPF_LD | BPF_IMM | BPF_DW, r2, BPF_PSEUDO_FUNC, 0, 5),
                  insn(0, 0, 0, 0, 0),
                  mov(r3, 0),
                  mov(r4, 0),
                  call(BPF_FUNC_loop),
                  leave(),
                  mov(r0, 0),
                  leave()};
  ask_described("callback", loop, {{{0, kMain}, {7, kEach}}, {line(0, kSet, 3), line(7, kReturn, 9)}});
  loop[7] = mov_reg(r0, r2);
  ask_described("callback returns its context", loop,
                {{{0, kMain}, {7, kEach}}, {line(0, kSet, 3), line(7, kReturn, 9)}});
  loop[7] = mov(r0, 2);
  ask_described("callback returns 2", loop, {{{0, kMain}, {7, kEach}}, {line(0, kSet, 3), line(7, kReturn, 9)}});
}

}  // namespace

void ask_logs_of_calls() {
  ask_helpers();
  ask_functions();
  ask_described_programs();
}

}  // namespace oracle

// SPDX-License-Identifier: Apache-2.0
// Memory: stack, map values, packets, ring buffer records, kernel objects.
#include <cstddef>

#include "tests/oracle/logs.h"

namespace oracle {

namespace {

constexpr u32 kXdp = BPF_PROG_TYPE_XDP, kSched = BPF_PROG_TYPE_SCHED_CLS, kTracepoint = BPF_PROG_TYPE_TRACEPOINT;

void ask_stack() {
  ask_logs_of("spill and fill",
              {load(r6, r1, 0), alu(BPF_AND, r6, 15), store_reg(r10, -8, r6), load(r7, r10, -8, BPF_DW),
               store_reg(r10, -16, r1), load(r1, r10, -16, BPF_DW), load(r0, r1, 4), leave()});
  ask_logs_of("32-bit spill", {load(r6, r1, 0), store_reg(r10, -4, r6, BPF_W), load(r0, r10, -4), leave()});
  ask_logs_of("spill in pieces",
              {store_reg(r10, -8, r1), store(r10, -8, 7, BPF_B), load(r0, r10, -8, BPF_DW), leave()});
  ask_logs_of("zero and misc bytes", {store(r10, -8, 0, BPF_DW), load(r2, r1, 0), store_reg(r10, -6, r2, BPF_H),
                                      load(r0, r10, -8, BPF_B), load(r3, r10, -6, BPF_H), leave()});
  ask_logs_of("variable stack offset",
              {load(r2, r1, 0), alu(BPF_AND, r2, 8), mov_reg(r3, r10), alu_reg(BPF_ADD, r3, r2),
               store(r10, -16, 0, BPF_DW), store(r10, -8, 0, BPF_DW), load(r0, r3, -16, BPF_DW), leave()});
  ask_logs_of("unbounded stack offset", {load(r2, r1, 0), mov_reg(r3, r10), alu_reg(BPF_ADD, r3, r2),
                                         store(r3, -8, 1, BPF_DW), mov(r0, 0), leave()});
  ask_logs_of("below the stack", {store(r10, -516, 1), mov(r0, 0), leave()});
  ask_logs_of("unwritten stack to a helper",
              {mov_reg(r1, r10), add(r1, -8), mov(r2, 8), mov(r3, 0), call(BPF_FUNC_probe_read_kernel),
               load(r0, r10, -8, BPF_DW), mov(r0, 0), leave()},
              kTracepoint);
}

void ask_maps() {
  int array = make_map({BPF_MAP_TYPE_ARRAY, 4, 48, 3}), hash = make_map({BPF_MAP_TYPE_HASH, 8, 16, 3});
  int single = make_map({BPF_MAP_TYPE_ARRAY, 4, 48, 1});
  int programs = make_map({BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2}), ring = make_map({BPF_MAP_TYPE_RINGBUF, 0, 0, 4096});
  auto lookup = [&](int map, const Program& use) {
    Program skip = {jump_if(BPF_JEQ, r0, 0, static_cast<int>(use.size()))};
    return Program{store(r10, -8, 0, BPF_DW), mov_reg(r2, r10), add(r2, -8)} + load_map(r1, map) +
           Program{call(BPF_FUNC_map_lookup_elem)} + skip + use + nothing();
  };
  ask_logs_of("value", lookup(array, {load(r3, r0, 0, BPF_DW), store_reg(r0, 40, r3), atomic(r0, 8, r3, BPF_ADD)}));
  ask_logs_of("value past the end", lookup(hash, {load(r3, r0, 12, BPF_DW)}));
  ask_logs_of("value at a bounded index", lookup(array, {load(r3, r0, 0), jump_if(BPF_JGT, r3, 40, 2),
                                                         alu_reg(BPF_ADD, r0, r3), load(r4, r0, 7, BPF_B)}));
  ask_logs_of("value at an unbounded index",
              lookup(array, {load(r3, r0, 0), alu_reg(BPF_ADD, r0, r3), load(r4, r0, 0)}));
  ask_logs_of("value at a negative index", lookup(array, {load(r3, r0, 0, BPF_DW), jump_if(BPF_JSGT, r3, 30, 2),
                                                          alu_reg(BPF_ADD, r0, r3), load(r4, r0, 0)}));
  ask_logs_of("value may be null", Program{store(r10, -8, 0, BPF_DW), mov_reg(r2, r10), add(r2, -8)} +
                                       load_map(r1, hash) +
                                       Program{call(BPF_FUNC_map_lookup_elem), load(r0, r0, 0), leave()});
  ask_logs_of("fetching atomics", lookup(array, {mov(r3, 1), atomic(r0, 0, r3, BPF_ADD | BPF_FETCH), mov_reg(r6, r0),
                                                 mov(r0, 0), atomic(r6, 8, r3, BPF_CMPXCHG)}));
  ask_logs_of("direct value",
              load_map(r1, single, BPF_PSEUDO_MAP_VALUE, 16) + Program{store(r1, 24, 5, BPF_DW)} + nothing());
  ask_logs_of("map pointer read", load_map(r1, array) + Program{load(r0, r1, 0), leave()});
  ask_logs_of("tail call",
              Program{mov(r3, 1)} + load_map(r2, programs) + Program{call(BPF_FUNC_tail_call)} + nothing());
  Program reserve = load_map(r1, ring) + Program{mov(r2, 24), mov(r3, 0), call(BPF_FUNC_ringbuf_reserve)};
  ask_logs_of("record",
              reserve +
                  Program{jump_if(BPF_JEQ, r0, 0, 4), store(r0, 16, 1, BPF_DW), mov_reg(r1, r0), mov(r2, 0),
                          call(BPF_FUNC_ringbuf_submit)} +
                  nothing(),
              kTracepoint);
  ask_logs_of("record leaked", reserve + nothing(), kTracepoint);
  ask_logs_of("record past the end", reserve + Program{jump_if(BPF_JEQ, r0, 0, 1), store(r0, 24, 1)} + nothing(),
              kTracepoint);
  ask_logs_of("record used after submit",
              reserve +
                  Program{jump_if(BPF_JEQ, r0, 0, 5), mov_reg(r6, r0), mov_reg(r1, r0), mov(r2, 0),
                          call(BPF_FUNC_ringbuf_submit), store(r6, 0, 1)} +
                  nothing(),
              kTracepoint);
  Program dynptr = load_map(r1, ring) + Program{mov(r2, 16), mov(r3, 0), mov_reg(r4, r10), add(r4, -16),
                                                call(BPF_FUNC_ringbuf_reserve_dynptr)};
  Program end = {mov_reg(r1, r10), add(r1, -16), mov(r2, 0), call(BPF_FUNC_ringbuf_discard_dynptr)};
  ask_logs_of("dynptr", dynptr + end + nothing(), kTracepoint);
  ask_logs_of("dynptr leaked", dynptr + nothing(), kTracepoint);
  for (int fd : {array, hash, single, programs, ring}) close(fd);
}

void ask_packets() {
  Program ends = {load(r2, r1, offsetof(xdp_md, data)), load(r3, r1, offsetof(xdp_md, data_end)), mov_reg(r4, r2),
                  add(r4, 14)};
  ask_logs_of("packet in range",
              ends + Program{jump_if_reg(BPF_JGT, r4, r3, 1), load(r0, r2, 12, BPF_H), mov(r0, 2), leave()}, kXdp);
  ask_logs_of("packet out of range",
              ends + Program{jump_if_reg(BPF_JGT, r4, r3, 1), load(r0, r2, 13, BPF_H), mov(r0, 2), leave()}, kXdp);
  ask_logs_of("packet at a variable offset",
              ends + Program{jump_if_reg(BPF_JGT, r4, r3, 7), load(r5, r2, 0, BPF_B), alu(BPF_AND, r5, 15),
                             alu_reg(BPF_ADD, r2, r5), mov_reg(r4, r2), add(r4, 8), jump_if_reg(BPF_JGT, r4, r3, 1),
                             load(r0, r2, 0, BPF_DW), mov(r0, 2), leave()},
              kXdp);
  ask_logs_of("packet after it moved",
              ends + Program{jump_if_reg(BPF_JGT, r4, r3, 4), mov_reg(r6, r2), mov(r2, 0),
                             call(BPF_FUNC_xdp_adjust_head), load(r0, r6, 0, BPF_B), mov(r0, 2), leave()},
              kXdp);
  ask_logs_of("packet of skb",
              {load(r2, r1, offsetof(__sk_buff, data)), load(r3, r1, offsetof(__sk_buff, data_end)), mov_reg(r4, r2),
               add(r4, 4), jump_if_reg(BPF_JLE, r4, r3, 2), mov(r0, 0), leave(), load(r0, r2, 0),
               store_reg(r1, offsetof(__sk_buff, mark), r0, BPF_W), leave()},
              kSched);
  ask_logs_of("direct load", {mov_reg(r6, r1), insn(BPF_LD | BPF_ABS | BPF_H, 0, 0, 0, 12), leave()});
  ask_logs_of("context written", {store_reg(r1, offsetof(__sk_buff, len), r1, BPF_W), mov(r0, 0), leave()}, kSched);
  ask_logs_of("context misaligned", {load(r0, r1, 2), leave()});
  ask_logs_of("socket of skb",
              {load(r2, r1, offsetof(__sk_buff, sk), BPF_DW), jump_if(BPF_JEQ, r2, 0, 1),
               load(r0, r2, offsetof(bpf_sock, family)), mov(r0, 0), leave()},
              kSched);
}

void ask_objects_of_the_kernel() {
  ask_logs_of("task", {call(BPF_FUNC_get_current_task_btf), mov_reg(r1, r0), load(r0, r1, 16), mov(r0, 0), leave()},
              kTracepoint);
  ask_logs_of("task written", {call(BPF_FUNC_get_current_task_btf), store(r0, 16, 1), mov(r0, 0), leave()},
              kTracepoint);
  ask_logs_of("tracepoint record", {load(r0, r1, 8, BPF_DW), mov(r0, 0), leave()}, kTracepoint);
}

}  // namespace

void ask_logs_of_memory() {
  ask_stack();
  ask_maps();
  ask_packets();
  ask_objects_of_the_kernel();
}

}  // namespace oracle

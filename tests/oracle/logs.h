// SPDX-License-Identifier: Apache-2.0
// Programs whose whole verifier log is asked for, and the instructions to write them with.
#pragma once

#include "tests/oracle/oracle.h"

namespace oracle {

inline constexpr u8 r0 = 0, r1 = 1, r2 = 2, r3 = 3, r4 = 4, r5 = 5, r6 = 6, r7 = 7, r8 = 8, r9 = 9, r10 = 10;

// One line for each of the levels 1, 2 and 4: verdict and log, its lines joined by "\n" as two characters.
void ask_logs_of(const std::string& name, bpf_attr attr);
void ask_logs_of(const std::string& name, const Program& program, u32 type = BPF_PROG_TYPE_SOCKET_FILTER);

inline bpf_insn alu(u8 op, u8 dst, int imm) {
  return insn(BPF_ALU64 | op | BPF_K, dst, 0, 0, imm);
}
inline bpf_insn alu_reg(u8 op, u8 dst, u8 src) {
  return insn(BPF_ALU64 | op | BPF_X, dst, src, 0, 0);
}
inline bpf_insn alu32(u8 op, u8 dst, int imm) {
  return insn(BPF_ALU | op | BPF_K, dst, 0, 0, imm);
}
inline bpf_insn alu32_reg(u8 op, u8 dst, u8 src) {
  return insn(BPF_ALU | op | BPF_X, dst, src, 0, 0);
}
inline bpf_insn jump(int off) {
  return insn(BPF_JMP | BPF_JA, 0, 0, off, 0);
}
inline bpf_insn jump_if(u8 op, u8 dst, int imm, int off) {
  return insn(BPF_JMP | op | BPF_K, dst, 0, off, imm);
}
inline bpf_insn jump_if_reg(u8 op, u8 dst, u8 src, int off) {
  return insn(BPF_JMP | op | BPF_X, dst, src, off, 0);
}
inline bpf_insn jump32_if(u8 op, u8 dst, int imm, int off) {
  return insn(BPF_JMP32 | op | BPF_K, dst, 0, off, imm);
}
inline bpf_insn store_reg(u8 dst, int off, u8 src, u8 size = BPF_DW) {
  return insn(BPF_STX | BPF_MEM | size, dst, src, off, 0);
}
inline bpf_insn atomic(u8 dst, int off, u8 src, int op, u8 size = BPF_DW) {
  return insn(BPF_STX | BPF_ATOMIC | size, dst, src, off, op);
}
inline bpf_insn call_own(int distance) {
  return insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, distance);
}
inline Program load_wide(u8 dst, u64 value) {
  return {insn(BPF_LD | BPF_IMM | BPF_DW, dst, 0, 0, static_cast<int>(value)),
          insn(0, 0, 0, 0, static_cast<int>(value >> 32))};
}

void ask_logs_of_values();
void ask_logs_of_memory();
void ask_logs_of_calls();

}  // namespace oracle

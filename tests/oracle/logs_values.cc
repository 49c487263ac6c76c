// SPDX-License-Identifier: Apache-2.0
// Scalars: what arithmetic and branches tell of a value; precision, pruning, loops.
#include "tests/oracle/logs.h"

namespace oracle {

namespace {

// r0 becomes an unknown 32-bit value, of a packet's field.
const Program kUnknown = {load(r0, r1, 0)};

void ask_arithmetic() {
  const std::pair<const char*, Program> programs[] = {
      {"constants",
       {mov(r0, 7), alu(BPF_MUL, r0, -3), alu(BPF_LSH, r0, 33), alu(BPF_ARSH, r0, 2), alu(BPF_XOR, r0, 5)}},
      {"32-bit constants", {mov(r0, -1), alu32(BPF_ADD, r0, 3), alu32(BPF_RSH, r0, 1), alu32(BPF_ARSH, r0, 1)}},
      {"and, or", {alu(BPF_AND, r0, 0xff0), alu(BPF_OR, r0, 0x1003), alu(BPF_XOR, r0, 0x11)}},
      {"shifts", {alu(BPF_LSH, r0, 4), alu(BPF_RSH, r0, 10), alu(BPF_LSH, r0, 50), alu(BPF_ARSH, r0, 50)}},
      {"32-bit shifts", {alu32(BPF_LSH, r0, 4), alu32(BPF_ARSH, r0, 6), alu32(BPF_RSH, r0, 6)}},
      {"sum of unknowns",
       {mov_reg(r2, r0), alu_reg(BPF_ADD, r2, r0), alu_reg(BPF_SUB, r2, r0), alu_reg(BPF_MUL, r2, r0)}},
      {"negation and division", {alu(BPF_NEG, r0, 0), alu(BPF_DIV, r0, 3), alu(BPF_MOD, r0, 9), alu32(BPF_NEG, r0, 0)}},
      {"32-bit move", {mov_reg(r2, r0), alu(BPF_LSH, r2, 20), alu32_reg(BPF_MOV, r3, r2), alu_reg(BPF_AND, r2, r3)}},
      {"byte swaps",
       {insn(BPF_ALU | BPF_END | BPF_TO_BE, r0, 0, 0, 16), insn(BPF_ALU | BPF_END | BPF_TO_LE, r0, 0, 0, 32)}},
      {"shift by an unknown",
       {mov(r2, 1), alu_reg(BPF_LSH, r2, r0), alu(BPF_AND, r0, 7), mov(r3, 1), alu_reg(BPF_LSH, r3, r0)}},
  };
  for (const auto& [name, body] : programs) ask_logs_of(name, kUnknown + body + nothing());
  ask_logs_of("wide constant", load_wide(r0, 0x8000000000000001) + Program{alu(BPF_ADD, r0, -2)} + nothing());
  ask_logs_of("pointer arithmetic", {mov_reg(r2, r10), alu(BPF_MUL, r2, 8), mov(r0, 0), leave()});
  ask_logs_of("pointer minus pointer", {mov_reg(r2, r10), alu_reg(BPF_SUB, r2, r10), mov_reg(r0, r2), leave()});
}

// The value is narrowed on both sides of a branch.
void ask_branches() {
  const std::pair<const char*, bpf_insn> branches[] = {
      {"jeq", jump_if(BPF_JEQ, r0, 5, 2)},
      {"jne", jump_if(BPF_JNE, r0, 5, 2)},
      {"jgt", jump_if(BPF_JGT, r0, 100, 2)},
      {"jle", jump_if(BPF_JLE, r0, 100, 2)},
      {"jsgt", jump_if(BPF_JSGT, r0, -100, 2)},
      {"jsle", jump_if(BPF_JSLE, r0, -100, 2)},
      {"jset", jump_if(BPF_JSET, r0, 0x30, 2)},
      {"32-bit jlt", jump32_if(BPF_JLT, r0, 20, 2)},
      {"32-bit jsge", jump32_if(BPF_JSGE, r0, 20, 2)},
      {"32-bit jeq", jump32_if(BPF_JEQ, r0, -1, 2)},
  };
  for (const auto& [name, branch] : branches) {
    ask_logs_of(name, kUnknown + Program{alu(BPF_LSH, r0, 8), branch, alu(BPF_ADD, r0, 1), leave(), alu(BPF_SUB, r0, 1),
                                         leave()});
  }
  ask_logs_of("two unknowns compared",
              {load(r2, r1, 0), load(r3, r1, 4), alu(BPF_AND, r3, 63), jump_if_reg(BPF_JGE, r2, r3, 2), mov_reg(r0, r2),
               leave(), mov(r0, 0), leave()});
  ask_logs_of("never taken", {mov(r0, 3), jump_if(BPF_JGT, r0, 3, 1), leave(), mov(r0, 9), leave()});
}

void ask_paths() {
  ask_logs_of("joined paths are pruned", kUnknown + Program{jump_if(BPF_JGT, r0, 10, 1), mov(r0, 4), mov(r2, 0),
                                                            alu(BPF_ADD, r2, 1), mov(r0, 0), leave()});
  ask_logs_of("precision", kUnknown + Program{alu(BPF_AND, r0, 7), mov(r6, 2), jump_if(BPF_JEQ, r0, 0, 1), mov(r6, 3),
                                              mov_reg(r2, r10), store_reg(r10, -8, r6), alu_reg(BPF_SUB, r2, r6),
                                              alu(BPF_ADD, r2, -8), store(r2, 0, 1, BPF_B), mov(r0, 0), leave()});
  ask_logs_of("counted loop", {mov(r0, 0), alu(BPF_ADD, r0, 1), jump_if(BPF_JLT, r0, 6, -2), leave()});
  ask_logs_of("loop with an unknown bound", {load(r2, r1, 0), alu(BPF_AND, r2, 7), mov(r0, 0), alu(BPF_ADD, r0, 1),
                                             jump_if_reg(BPF_JLT, r0, r2, -2), leave()});
  ask_logs_of("loop without end", {mov(r0, 0), load(r2, r1, 0), jump_if(BPF_JNE, r2, 4, -2), leave()});
  ask_logs_of("unreachable", {mov(r0, 0), leave(), mov(r0, 1), leave()});
  ask_logs_of("falls off the end", {mov(r0, 0), jump_if(BPF_JEQ, r0, 0, 0)});
  ask_logs_of("uninitialised register", {mov_reg(r0, r7), leave()});
  ask_logs_of("returns an unknown", kUnknown + Program{leave()}, BPF_PROG_TYPE_CGROUP_SOCK);
  ask_logs_of("returns too much", {mov(r0, 5), leave()}, BPF_PROG_TYPE_CGROUP_SOCK);
}

}  // namespace

void ask_logs_of_values() {
  ask_arithmetic();
  ask_branches();
  ask_paths();
}

}  // namespace oracle

// SPDX-License-Identifier: Apache-2.0
// What an instruction is: emu/abi/opcodes.inc as types, and the decoder made from it.
#pragma once

#include "emu/isa/insn.h"

namespace bpfemu {

// clang-format off
enum class Opcode : u8 {
#define OPCODE(name, code, selector, selected, operation, form, text) name,
#include "emu/abi/opcodes.inc"
#undef OPCODE
  count
};
// clang-format on

// What arithmetic, atomics and conditional jumps compute.
enum class Operation : u8 {
  none,
  add,
  sub,
  mul,
  div,
  mod,
  bit_or,
  bit_and,
  bit_xor,
  lsh,
  rsh,
  arsh,
  neg,
  mov,
  eq,
  ne,
  gt,
  ge,
  lt,
  le,
  sgt,
  sge,
  slt,
  sle,
  set,
};

// Bytes that a load or store touches.
constexpr u32 access_size(u8 code) {
  constexpr u8 kSizes[] = {4, 2, 1, 8};
  return kSizes[BPF_SIZE(code) >> 3];
}

struct OpcodeInfo {
  enum Selector : u8 { kAny, kImm, kSource };

  Opcode opcode;
  u8 code;
  Selector selector;
  s32 selected;
  Operation operation;
  const char* name;
  const char* text;

  // 64-bit arithmetic or comparison (the class tells); 32-bit otherwise.
  constexpr bool wide() const { return BPF_CLASS(code) == BPF_ALU64 || BPF_CLASS(code) == BPF_JMP; }
  // The second operand is the immediate, not the source register.
  constexpr bool immediate() const { return BPF_SRC(code) == BPF_K; }
  constexpr u32 access_size() const { return bpfemu::access_size(code); }
};

// The whole table, indexed by Opcode.
std::span<const OpcodeInfo> opcodes();
inline const OpcodeInfo& opcode_info(Opcode opcode) {
  return opcodes()[static_cast<size_t>(opcode)];
}

// Null for an instruction that does not exist. Looks at `code` and, where the table says so, imm or the source
// register; reserved fields are the verifier's business.
const OpcodeInfo* decode(const Insn& insn);
// May a tool use this code? (kernel: bpf_opcode_in_insntable)
bool is_known_code(u8 code);

// The long unconditional jump keeps its distance where others keep a constant.
inline bool is_far_jump(u8 code) {
  return code == (BPF_JMP32 | BPF_JA);
}
// Of a jump: instructions from the next one to its target.
inline s32 jump_distance(const Insn& insn) {
  return is_far_jump(insn.code) ? insn.imm : insn.off;
}

// Two slots long: the second one holds the upper half of the constant.
inline bool is_load_imm64(const Insn& insn) {
  return insn.code == (BPF_LD | BPF_IMM | BPF_DW);
}
// The constant of a two-slot load. `insn` must have its second slot.
inline u64 constant_of(const Insn* insn) {
  return static_cast<u32>(insn[0].imm) | static_cast<u64>(insn[1].imm) << 32;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Writes x86-64 code for a program, one pass over all instructions at a time: a pass knows from the one before where
// things ended up, and picks short jumps where they reached. One emit function per form of the opcode table.
//
// Registers: jit.h. r9, r10 and r11 are free within an instruction.
#pragma once

#define XBYAK_NO_OP_NAMES
#include <xbyak/xbyak.h>

#include "emu/abi/map_calls.h"
#include "emu/isa/opcode.h"
#include "emu/jit/jit.h"

namespace bpfemu {

// Offsets into the code.
struct CodeLayout {
  std::vector<u32> insns;      // of each instruction, and one past the last
  std::vector<u32> functions;  // of each subprogram, where it is called
  std::vector<u32> bodies;     // of each subprogram's prologue
  std::vector<u32> exits;      // of each subprogram's epilogue
  std::vector<u32> callbacks;  // of the entry that a helper may call, for subprograms that have one
  u32 size = 0;
  friend bool operator==(const CodeLayout&, const CodeLayout&) = default;
};

// What a subprogram needs of its frame.
struct Function {
  u32 begin = 0, end = 0;  // instructions
  u32 stack = 0;           // bytes below rbp
  bool saved[4] = {};      // R6 to R9
  bool calls = false;      // calls out: the stack must be aligned as the ABI says
  bool loops = false;      // jumps backwards
  bool counts = false;     // its turns in r9, which nothing else in it uses
  bool framed = false;     // has a frame pointer
  bool callback = false;   // its address is taken
};

class Emitter : private Xbyak::CodeGenerator {
 public:
  // Assembles into `buffer` for `address`.
  Emitter(const Executable& input, u64 address, std::span<u8> buffer);

  // One pass over the program; `frozen`: no more jumps become short. EINVAL for what cannot be assembled.
  Result<void> pass(bool frozen);
  // The last pass put everything where the one before it had said.
  bool settled() const { return layout_ == previous_; }
  const CodeLayout& layout() const { return layout_; }
  u32 entry() const { return entry_; }

 private:
  using Emit = void (Emitter::*)(const Insn&, const OpcodeInfo&);
  static const Emit kEmitters[];

  // frame.cc
  std::vector<Function> survey() const;
  void entry_code();
  void prologue(const Function& function);
  void restore_frame();
  void epilogue();
  void callback_code(size_t function);

  // hooks.cc
  void hook_code(size_t function);

  // emit_alu.cc
  void emit_alu(const Insn&, const OpcodeInfo&);
  void emit_mul(const Insn&, const OpcodeInfo&);
  void emit_div(const Insn&, const OpcodeInfo&);
  void emit_shift(const Insn&, const OpcodeInfo&);
  void emit_mov(const Insn&, const OpcodeInfo&);
  void emit_neg(const Insn&, const OpcodeInfo&);
  void emit_to_le(const Insn&, const OpcodeInfo&);
  void emit_to_be(const Insn&, const OpcodeInfo&);
  void divide(const Insn&, const OpcodeInfo&, const Xbyak::Reg32e& divisor);
  void shift_by_cl(Operation operation, const Xbyak::Reg32e& value);

  // emit_memory.cc
  void emit_load_imm64(const Insn&, const OpcodeInfo&);
  void emit_load(const Insn&, const OpcodeInfo&);
  void emit_load_probe(const Insn&, const OpcodeInfo&);
  void emit_store_imm(const Insn&, const OpcodeInfo&);
  void emit_store_reg(const Insn&, const OpcodeInfo&);
  void emit_no_speculation(const Insn&, const OpcodeInfo&);
  void load_from(const Xbyak::Reg64& to, const Xbyak::RegExp& from, u32 size);

  // emit_atomic.cc
  void emit_atomic(const Insn&, const OpcodeInfo&);
  void emit_atomic_fetch(const Insn&, const OpcodeInfo&);
  void emit_exchange(const Insn&, const OpcodeInfo&);
  void emit_compare_exchange(const Insn&, const OpcodeInfo&);

  // emit_jump.cc
  void emit_jump(const Insn&, const OpcodeInfo&);
  void emit_jump_if(const Insn&, const OpcodeInfo&);
  void emit_exit(const Insn&, const OpcodeInfo&);
  void jump_to(u32 target, int condition);
  void breathe();
  void take_breaths();
  void leave_breaths();

  // emit_call.cc
  void emit_call_helper(const Insn&, const OpcodeInfo&);
  void emit_call_kernel(const Insn&, const OpcodeInfo&);
  void emit_call_subprogram(const Insn&, const OpcodeInfo&);
  void emit_tail_call(const Insn&, const OpcodeInfo&);
  void emit_load_function(const Insn&, const OpcodeInfo&);
  void emit_load_packet(const Insn&, const OpcodeInfo&);
  void call_native(HelperFn target);
  void call_told(HelperFn target, s32 function);
  void call_address(u64 target);
  bool reachable(u64 target) const;
  void call_offset(u32 target);

  // emit_map.cc
  bool emit_map_call(MapCall call, const Map& map);
  template <class Native>
  bool call_map(Native* function, u32 arguments);
  void emit_array_lookup(const Map& map);

  // Where the instruction stream is, in terms of the previous pass: relative offsets are exact once all has settled.
  u32 here() const { return previous_.insns[current_] + static_cast<u32>(getSize() - start_); }
  void arithmetic(Operation operation, const Xbyak::Operand& to, const Xbyak::Operand& from);
  // The subprogram that starts `distance` instructions after the current one; refuses the program when none does.
  size_t subprogram_at(s64 start);
  void refuse() { refused_ = true; }
  const Function& function() const { return functions_[current_function_]; }

  static Xbyak::Reg64 reg(u32 bpf_register);
  static Xbyak::Reg32e reg(u32 bpf_register, bool wide);
  Xbyak::Address memory(u32 bpf_register, s16 offset, u32 size) const;

  const Executable& input_;
  const u64 address_;
  const std::vector<Function> functions_;
  bool needs_run_ = false;  // some instruction uses r12
  bool counts_tail_calls_ = false;
  std::vector<bool> short_;  // per instruction: its jump is a short one
  CodeLayout previous_, layout_;
  u32 entry_ = 0;
  size_t current_ = 0, current_function_ = 0, start_ = 0;
  bool first_pass_ = true, frozen_ = false, refused_ = false;
};

}  // namespace bpfemu

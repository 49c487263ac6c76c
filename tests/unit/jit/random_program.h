// SPDX-License-Identifier: Apache-2.0
// Random programs from the opcode table, typed just enough to touch only their stack, one context buffer and what the
// fixture offers. One generator per form: a new opcode is generated as soon as it is in the table.
//
// R9 holds the context in every function, R10 is the frame; all other registers hold numbers that do not depend on
// where memory is. Pieces of code that need a pointer elsewhere put a number back when done.
#pragma once

#include <random>
#include <vector>

#include "emu/isa/opcode.h"
#include "emu/jit/jit.h"

namespace bpfemu::test {

// What programs may reach besides their own stack.
struct Surroundings {
  u64 context_size = 0;
  u64 skb = 0;         // a RunSkb, for packet loads
  u64 prog_array = 0;  // for tail calls
  u32 prog_array_size = 0;
  u32 hash_helper = 0;      // u64(5 numbers)
  u32 repeat_helper = 0;    // u64(callback, context, count): calls back `count` times with (context, i)
  u32 kernel_function = 0;  // like hash_helper
};

struct Program {
  Insns insns;
  std::vector<u32> starts;
  std::vector<u16> stack_depths;
};

class RandomProgram {
 public:
  RandomProgram(u64 seed, const Surroundings& surroundings) : random_(seed), surroundings_(surroundings) {}
  Program generate();

 private:
  // A piece of code that is entered at its start only. `jump` is the index of an instruction in it whose offset is to
  // lead to piece `target` of the same body.
  struct Piece {
    Insns insns;
    int jump = -1;
    size_t target = 0;
  };
  using Body = std::vector<Piece>;
  using Generate = void (RandomProgram::*)(const OpcodeInfo&);
  static const Generate kGenerators[];

  u64 pick(u64 below) { return random_() % below; }
  bool chance(u64 one_in) { return pick(one_in) == 0; }
  u64 number();
  s32 small_number();
  u8 scalar() { return static_cast<u8>(pick(9)); }
  // A register with a pointer to `size` bytes that are `offset` away from where it points.
  struct Place {
    u8 base;
    s16 offset;
    bool in_context;
    bool temporary;
  };
  Place place(u32 size, int avoid = -1);
  void settle(const Place& place) {
    if (place.temporary) set(place.base, number());
  }

  void set(u8 reg, u64 value);
  void add(u8 code, u8 dst, u8 src, s16 off, s32 imm) {
    piece_.push_back({code, static_cast<u8>(dst & 15u), static_cast<u8>(src & 15u), off, imm});
  }
  void scramble_arguments();
  Body body(size_t length, u32 nesting);
  Piece one(size_t position, size_t length);
  void loop(Body& body, u32 nesting);
  void append(const Body& body);
  void function(size_t index);

  void gen_alu(const OpcodeInfo&);
  void gen_mul(const OpcodeInfo& info) { gen_alu(info); }
  void gen_div(const OpcodeInfo& info) { gen_alu(info); }
  void gen_mov(const OpcodeInfo& info) { gen_alu(info); }
  void gen_neg(const OpcodeInfo& info) { gen_alu(info); }
  void gen_shift(const OpcodeInfo&);
  void gen_to_le(const OpcodeInfo&);
  void gen_to_be(const OpcodeInfo& info) { gen_to_le(info); }
  void gen_jump(const OpcodeInfo&);
  void gen_jump_if(const OpcodeInfo&);
  void gen_call_helper(const OpcodeInfo&);
  void gen_call_subprogram(const OpcodeInfo&);
  void gen_call_kernel(const OpcodeInfo&);
  void gen_exit(const OpcodeInfo&);
  void gen_load_imm64(const OpcodeInfo&);
  void gen_load_function(const OpcodeInfo&);
  void gen_load_packet(const OpcodeInfo&);
  void gen_load(const OpcodeInfo&);
  void gen_load_probe(const OpcodeInfo&);
  void gen_store_imm(const OpcodeInfo&);
  void gen_store_reg(const OpcodeInfo&);
  void gen_atomic(const OpcodeInfo&);
  void gen_atomic_fetch(const OpcodeInfo& info) { gen_atomic(info); }
  void gen_exchange(const OpcodeInfo& info) { gen_atomic(info); }
  void gen_compare_exchange(const OpcodeInfo& info) { gen_atomic(info); }
  void gen_tail_call(const OpcodeInfo&);
  void gen_no_speculation(const OpcodeInfo& info) { add(info.code, 0, 0, 0, 0); }

  std::mt19937_64 random_;
  Surroundings surroundings_;
  Program program_;
  size_t function_ = 0, functions_ = 1;
  u16 stack_ = 0;
  Insns piece_;  // under construction
  int jump_ = -1;
};

}  // namespace bpfemu::test

// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/jit/random_program.h"

#include <iterator>

#include "emu/arena/layout.h"

namespace bpfemu::test {

// clang-format off
const RandomProgram::Generate RandomProgram::kGenerators[] = {
#define OPCODE(name, code, selector, selected, operation, form, text) &RandomProgram::gen_##form,
#include "emu/abi/opcodes.inc"
#undef OPCODE
};
// clang-format on

namespace {

constexpr s16 kLoopSlots = 16;  // at the top of each frame: one counter a nesting level
constexpr u8 kContext = 9, kFrame = 10;

}  // namespace

// Numbers near the edges of the widths, or anything.
u64 RandomProgram::number() {
  static constexpr u64 kEdges[] = {0,
                                   1,
                                   2,
                                   0x7f,
                                   0x80,
                                   0xff,
                                   0x7fff,
                                   0x8000,
                                   0xffff,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x100000000,
                                   0x7fffffffffffffff,
                                   0x8000000000000000,
                                   ~u64{0},
                                   ~u64{1}};
  switch (pick(4)) {
    case 0: return kEdges[pick(std::size(kEdges))];
    case 1: return kEdges[pick(std::size(kEdges))] + pick(3) - 1;
    case 2: return random_() >> pick(64);
    default: return random_();
  }
}

s32 RandomProgram::small_number() {
  return static_cast<s32>(number());
}

void RandomProgram::set(u8 reg, u64 value) {
  if (static_cast<u64>(s64{static_cast<s32>(value)}) == value)
    return add(BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, static_cast<s32>(value));
  add(BPF_LD | BPF_IMM | BPF_DW, reg, 0, 0, static_cast<s32>(value));
  add(0, 0, 0, 0, static_cast<s32>(value >> 32));
}

// After a call R1 to R5 hold whatever is left in the host's registers.
void RandomProgram::scramble_arguments() {
  for (u8 r = 1; r <= 5; ++r)
    chance(2) ? set(r, number())
              : add(BPF_ALU64 | BPF_MOV | BPF_X, r, static_cast<u8>(chance(2) ? 0 : 6 + pick(3)), 0, 0);
}

RandomProgram::Place RandomProgram::place(u32 size, int avoid) {
  const bool in_context = chance(2);
  const u64 room = in_context ? surroundings_.context_size : static_cast<u64>(stack_ - kLoopSlots);
  const s64 at = static_cast<s64>(pick(room - size + 1)) - (in_context ? 0 : stack_);
  Place place{in_context ? kContext : kFrame, static_cast<s16>(at), in_context, false};
  if (!chance(3)) return place;
  const u8 base = scalar();
  if (base == avoid) return place;
  const s32 shift = static_cast<s32>(pick(400)) - 200;
  add(BPF_ALU64 | BPF_MOV | BPF_X, base, place.base, 0, 0);
  if (shift) add(BPF_ALU64 | BPF_ADD | BPF_K, base, 0, 0, shift);
  return {base, static_cast<s16>(at - shift), in_context, true};
}

void RandomProgram::gen_alu(const OpcodeInfo& info) {
  add(info.code, scalar(), info.immediate() ? 0 : scalar(), 0, info.immediate() ? small_number() : 0);
}

void RandomProgram::gen_shift(const OpcodeInfo& info) {
  add(info.code, scalar(), info.immediate() ? 0 : scalar(), 0,
      info.immediate() ? static_cast<s32>(pick(info.wide() ? 64 : 32)) : 0);
}

void RandomProgram::gen_to_le(const OpcodeInfo& info) {
  add(info.code, scalar(), 0, 0, info.selected);
}

void RandomProgram::gen_jump(const OpcodeInfo& info) {
  add(info.code, 0, 0, 0, 0);
  jump_ = static_cast<int>(piece_.size()) - 1;
}

void RandomProgram::gen_jump_if(const OpcodeInfo& info) {
  add(info.code, scalar(), info.immediate() ? 0 : scalar(), 0, info.immediate() ? small_number() : 0);
  jump_ = static_cast<int>(piece_.size()) - 1;
}

void RandomProgram::gen_call_helper(const OpcodeInfo& info) {
  add(info.code, 0, 0, 0, static_cast<s32>(surroundings_.hash_helper));
  scramble_arguments();
}

void RandomProgram::gen_call_kernel(const OpcodeInfo& info) {
  add(info.code, 0, BPF_PSEUDO_KFUNC_CALL, 0, static_cast<s32>(surroundings_.kernel_function));
  scramble_arguments();
}

// Functions call later ones only. The immediate is the callee's number until all have their places.
void RandomProgram::gen_call_subprogram(const OpcodeInfo& info) {
  if (function_ + 1 >= functions_) return;
  add(BPF_ALU64 | BPF_MOV | BPF_X, 1, kContext, 0, 0);
  add(info.code, 0, BPF_PSEUDO_CALL, 0, static_cast<s32>(function_ + 1 + pick(functions_ - function_ - 1)));
  scramble_arguments();
}

void RandomProgram::gen_load_function(const OpcodeInfo& info) {
  if (function_ + 1 >= functions_) return;
  add(info.code, 1, BPF_PSEUDO_FUNC, 0, static_cast<s32>(function_ + 1 + pick(functions_ - function_ - 1)));
  add(0, 0, 0, 0, 0);
  add(BPF_ALU64 | BPF_MOV | BPF_X, 2, kContext, 0, 0);
  set(3, pick(4));
  add(BPF_JMP | BPF_CALL, 0, 0, 0, static_cast<s32>(surroundings_.repeat_helper));
  scramble_arguments();
}

void RandomProgram::gen_tail_call(const OpcodeInfo& info) {
  add(BPF_ALU64 | BPF_MOV | BPF_X, 1, kContext, 0, 0);
  set(2, surroundings_.prog_array);
  set(3, chance(4) ? number() : pick(surroundings_.prog_array_size));
  add(info.code, 0, 0, 0, 0);
  set(0, number());
  scramble_arguments();
}

// In the middle of a body, an exit is jumped over most of the time.
void RandomProgram::gen_exit(const OpcodeInfo& info) {
  add(BPF_JMP | BPF_JNE | BPF_K, scalar(), 0, 1, small_number());
  add(info.code, 0, 0, 0, 0);
}

void RandomProgram::gen_load_imm64(const OpcodeInfo& info) {
  const u64 value = number();
  add(info.code, scalar(), static_cast<u8>(info.selected), 0, static_cast<s32>(value));
  add(0, 0, 0, 0, static_cast<s32>(value >> 32));
}

void RandomProgram::gen_load_packet(const OpcodeInfo& info) {
  static constexpr s32 kOffsets[] = {0, 1, 14, 58, 60, 61, 63, 64, -0x100000, -0x200000 + 12, -0x200000 - 1, -0x300000};
  const bool indirect = BPF_MODE(info.code) == BPF_IND;
  const u8 index = static_cast<u8>(pick(6));
  if (indirect) set(index, pick(32));
  set(6, surroundings_.skb);
  add(info.code, 0, indirect ? index : 0, 0, kOffsets[pick(std::size(kOffsets))]);
  set(6, number());
  scramble_arguments();
}

void RandomProgram::gen_load(const OpcodeInfo& info) {
  const Place from = place(info.access_size());
  const u8 to = scalar();
  add(info.code, to, from.base, from.offset, 0);
  if (from.base != to) settle(from);
}

// From anywhere: numbers are no addresses, and the context lies just before the arena's end.
void RandomProgram::gen_load_probe(const OpcodeInfo& info) {
  const u8 from = chance(2) ? kContext : scalar();
  if (from != kContext && chance(2)) set(from, chance(2) ? kArenaBase - pick(16) : kArenaBase + (u64{1} << 40));
  const s16 offset = static_cast<s16>(chance(4) ? static_cast<s32>(random_())
                                                : static_cast<s32>(pick(surroundings_.context_size + 16)));
  add(info.code, scalar(), from, offset, 0);
}

void RandomProgram::gen_store_imm(const OpcodeInfo& info) {
  const Place to = place(info.access_size());
  add(info.code, to.base, 0, to.offset, small_number());
  settle(to);
}

void RandomProgram::gen_store_reg(const OpcodeInfo& info) {
  const u8 from = scalar();
  const Place to = place(info.access_size(), from);
  add(info.code, to.base, from, to.offset, 0);
  settle(to);
}

void RandomProgram::gen_atomic(const OpcodeInfo& info) {
  const u8 operand = scalar();
  if (chance(3)) add(BPF_ALU64 | BPF_MOV | BPF_X, 0, operand, 0, 0);
  const Place at = place(info.access_size(), operand);
  // Compare-exchange answers in R0, which a base in R0 would turn into an address of the frame.
  if (info.selected == BPF_CMPXCHG && at.base == 0) return settle(at);
  if (info.selected == BPF_CMPXCHG && chance(2)) add(BPF_LDX | BPF_MEM | BPF_SIZE(info.code), 0, at.base, at.offset, 0);
  add(info.code, at.base, operand, at.offset, info.selected);
  settle(at);
}

RandomProgram::Piece RandomProgram::one(size_t position, size_t length) {
  const OpcodeInfo& info = opcodes()[pick(opcodes().size())];
  piece_.clear();
  jump_ = -1;
  (this->*kGenerators[static_cast<size_t>(info.opcode)])(info);
  return {piece_, jump_, position + 1 + pick(length - position)};
}

RandomProgram::Body RandomProgram::body(size_t length, u32 nesting) {
  Body body;
  while (body.size() < length) {
    if (nesting < 2 && length - body.size() > 12 && chance(40))
      loop(body, nesting);
    else
      body.push_back(one(body.size(), length));
  }
  return body;
}

// Counts down in a slot of the frame that nothing else touches. The pieces of the loop become one.
void RandomProgram::loop(Body& into, u32 nesting) {
  const s16 slot = static_cast<s16>(-8 * static_cast<s32>(nesting + 1));
  const Body inner = body(1 + pick(10), nesting + 1);
  Insns all{{BPF_ST | BPF_MEM | BPF_DW, kFrame, 0, slot, static_cast<s32>(1 + pick(3))}};
  Insns saved = std::exchange(program_.insns, {});
  append(inner);
  const size_t size = program_.insns.size();
  all.insert(all.end(), program_.insns.begin(), program_.insns.end());
  program_.insns = std::move(saved);
  const u8 counter = scalar();
  all.push_back({BPF_LDX | BPF_MEM | BPF_DW, static_cast<u8>(counter & 15u), kFrame, slot, 0});
  all.push_back({BPF_ALU64 | BPF_ADD | BPF_K, static_cast<u8>(counter & 15u), 0, 0, -1});
  all.push_back({BPF_STX | BPF_MEM | BPF_DW, kFrame, static_cast<u8>(counter & 15u), slot, 0});
  all.push_back({BPF_JMP | BPF_JSGT | BPF_K, static_cast<u8>(counter & 15u), 0,
                 static_cast<s16>(-static_cast<s32>(size) - 4), 0});
  into.push_back({std::move(all), -1, 0});
}

// Lays the pieces out and leads their jumps to where their targets are.
void RandomProgram::append(const Body& body) {
  std::vector<size_t> starts;
  size_t at = program_.insns.size();
  for (const Piece& piece : body) {
    starts.push_back(at);
    at += piece.insns.size();
  }
  starts.push_back(at);
  for (size_t i = 0; i < body.size(); ++i) {
    program_.insns.insert(program_.insns.end(), body[i].insns.begin(), body[i].insns.end());
    if (body[i].jump < 0) continue;
    const size_t jump = starts[i] + static_cast<size_t>(body[i].jump);
    const size_t distance = starts[std::min(body[i].target, body.size())] - jump - 1;
    if (is_far_jump(program_.insns[jump].code)) {
      program_.insns[jump].imm = static_cast<s32>(distance);
    } else {
      program_.insns[jump].off = static_cast<s16>(distance);
    }
  }
}

void RandomProgram::function(size_t index) {
  function_ = index;
  stack_ = static_cast<u16>(kLoopSlots + 8 * (1 + pick(chance(8) ? 24 : 6)));
  program_.starts.push_back(static_cast<u32>(program_.insns.size()));
  program_.stack_depths.push_back(stack_);

  piece_.clear();
  add(BPF_ALU64 | BPF_MOV | BPF_X, kContext, 1, 0, 0);
  for (u8 r = 0; r <= 8; ++r) set(r, number());
  for (s32 at = -stack_; at < 0; at += 8) add(BPF_STX | BPF_MEM | BPF_DW, kFrame, scalar(), static_cast<s16>(at), 0);
  append({{piece_, -1, 0}});

  append(body(1 + pick(chance(10) ? 300 : 40), 0));

  // All that the function computed goes into its result.
  piece_.clear();
  for (u8 r = 1; r <= 8; ++r) {
    add(BPF_ALU64 | BPF_MUL | BPF_K, 0, 0, 0, 31);
    add(BPF_ALU64 | BPF_XOR | BPF_X, 0, r, 0, 0);
  }
  for (s32 at = -stack_; at < 0; at += 8) {
    add(BPF_ALU64 | BPF_MUL | BPF_K, 0, 0, 0, 31);
    add(BPF_LDX | BPF_MEM | BPF_DW, 1, kFrame, static_cast<s16>(at), 0);
    add(BPF_ALU64 | BPF_XOR | BPF_X, 0, 1, 0, 0);
  }
  add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  append({{piece_, -1, 0}});
}

Program RandomProgram::generate() {
  functions_ = 1 + (chance(2) ? pick(4) : 0);
  for (size_t i = 0; i < functions_; ++i) function(i);
  for (size_t at = 0; at < program_.insns.size(); ++at) {
    Insn& insn = program_.insns[at];
    const bool wide = is_load_imm64(insn);
    const bool call = insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == BPF_PSEUDO_CALL;
    if (call || (wide && insn.src_reg == BPF_PSEUDO_FUNC))
      insn.imm = static_cast<s32>(program_.starts[static_cast<size_t>(insn.imm)]) - static_cast<s32>(at) - 1;
    if (wide) ++at;
  }
  return std::move(program_);
}

}  // namespace bpfemu::test

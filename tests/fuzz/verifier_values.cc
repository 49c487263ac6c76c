// SPDX-License-Identifier: Apache-2.0
// Registers: arithmetic, bounds, comparisons.
#include "tests/fuzz/verifier_gen.h"

namespace bpfemu::fuzz {

// A register with a number.
int Generator::number() {
  return number_in(0, 9);
}

int Generator::number_in(u32 from, u32 to) {
  int reg = find(static_cast<int>(from), static_cast<int>(to), [](const Value& value) { return value.is_scalar(); });
  if (reg >= 0) return reg;
  reg = fresh(from >= 6);
  set_constant(reg, chance(70) ? between(0, 64) : static_cast<s64>(random_.odd()));
  return reg;
}

void Generator::arithmetic() {
  int dst = find(0, 9, [](const Value& value) { return value.is_scalar(); });
  if (dst < 0 || ((state_.pinned >> dst) & 1)) {
    dst = fresh();
    if (slips())
      reg_at(dst) = {};
    else
      set_constant(dst, static_cast<s64>(random_.odd()));
  }
  static constexpr u8 codes[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR,  BPF_AND, BPF_AND, BPF_LSH,
                                 BPF_RSH, BPF_RSH, BPF_NEG, BPF_MOD, BPF_XOR, BPF_MOV, BPF_ARSH};
  u8 code = random_.pick(codes);
  bool wide = chance(60);
  u8 klass = wide ? BPF_ALU64 : BPF_ALU;
  u64 most = wide ? ~u64{0} : 0xffffffff;
  if (code == BPF_NEG) {
    emit(Op{klass | BPF_NEG, dst, 0, 0, 0});
    reg_at(dst) = scalar(most);
    return;
  }
  bool shift = code == BPF_LSH || code == BPF_RSH || code == BPF_ARSH;
  int src = chance(40) || slips() ? find(0, 9, [](const Value& value) { return value.is_scalar(); }) : -1;
  if (slips()) src = static_cast<int>(random_.below(11));
  if (src >= 0) {
    Value other = reg_at(src);
    emit(Op{klass | code | BPF_X, dst, src, 0, 0});
    if (code == BPF_AND || code == BPF_MOV)
      most = std::min(most, code == BPF_MOV ? other.max : std::max(other.max, reg_at(dst).max));
    reg_at(dst) = scalar(most);
    return;
  }
  s64 imm = static_cast<s32>(random_.odd());
  if (code == BPF_AND && chance(60)) imm = (1 << between(1, 6)) - 1;
  if (shift) imm = between(0, wide ? 63 : 31);
  if ((code == BPF_DIV || code == BPF_MOD) && imm == 0) imm = 3;
  if (slips()) imm = shift ? between(31, 65) : 0;
  emit(Op{klass | code | BPF_K, dst, 0, 0, imm});
  u64 before = reg_at(dst).max;
  if (imm >= 0) {
    u64 by = static_cast<u64>(imm);
    if (code == BPF_AND || code == BPF_MOV) most = std::min(most, by);
    if (code == BPF_MOD) most = std::min(most, by - 1);
    if (code == BPF_RSH && by < 64) most = std::min(before, most) >> by;
    if (code == BPF_ADD && before < 0x10000 && by < 0x10000) most = before + by;
    if (code == BPF_LSH && before < 0x10000 && by < 15) most = before << by;
  }
  reg_at(dst) = scalar(most);
}

void Generator::move() {
  int src = find(0, 10, [](const Value& value) { return value.kind != Kind::kNone; });
  if (slips()) src = static_cast<int>(random_.below(11));
  int dst = fresh(chance(60));
  if (dst == src) return;
  if (reg_at(src).is_scalar() && chance(25)) {
    emit(Op{BPF_ALU | BPF_MOV | BPF_X, dst, src, 0, 0});
    reg_at(dst) = scalar(std::min<u64>(reg_at(src).max, 0xffffffff));
    return;
  }
  copy(dst, src);
}

// Afterwards the register is at most `most`.
void Generator::limit(int reg, u64 most) {
  bool power = (most & (most + 1)) == 0;
  u8 klass = chance(75) ? BPF_ALU64 : BPF_ALU;
  if (power && chance(50)) {
    emit(Op{klass | BPF_AND | BPF_K, reg, 0, 0, static_cast<s64>(most)});
  } else if (chance(20)) {
    emit(Op{klass | BPF_MOD | BPF_K, reg, 0, 0, static_cast<s64>(most + 1)});
  } else {
    s64 bound = static_cast<s64>(most) + (slips() ? between(-1, 8) : 0);
    bool narrow = chance(20);
    if (narrow) emit(Op{BPF_ALU | BPF_MOV | BPF_X, reg, reg, 0, 0});
    u8 jumps = narrow ? BPF_JMP32 : BPF_JMP;
    size_t over;
    if (chance(70) || slips()) {
      over = jump(Op{jumps | (slips() ? BPF_JSLE : BPF_JLE) | BPF_K, reg, 0, 0, bound});
    } else {
      over = jump(Op{jumps | BPF_JLT | BPF_K, reg, 0, 0, bound + 1});
    }
    leave();
    land(over);
  }
  reg_at(reg) = scalar(most);
}

void Generator::bound() {
  int reg = number();
  if ((state_.pinned >> reg) & 1) return;
  static constexpr u64 limits[] = {0, 1, 3, 7, 7, 15, 15, 31, 5, 10, 24, 63, 255, 1000};
  limit(reg, random_.pick(limits));
}

void Generator::wide_constant() {
  int reg = fresh();
  u64 value = random_.odd();
  emit(Op{BPF_LD | BPF_IMM | BPF_DW, reg, 0, 0, static_cast<s32>(value)});
  emit(Op{0, 0, 0, 0, static_cast<s32>(value >> 32)});
  reg_at(reg) = scalar(value);
}

void Generator::byte_swap() {
  int reg = number();
  if ((state_.pinned >> reg) & 1) return;
  static constexpr int widths[] = {16, 32, 64};
  int width = slips() ? 8 : random_.pick(widths);
  emit(Op{BPF_ALU | BPF_END | (chance(50) ? BPF_TO_BE : BPF_TO_LE), reg, 0, 0, width});
  reg_at(reg) = scalar(width == 16 ? 0xffff : width == 32 ? 0xffffffff : ~u64{0});
}

void Generator::pointer_arithmetic() {
  int from = find(0, 10, [](const Value& value) { return value.is_area() || value.kind == Kind::kStack; });
  if (slips()) from = static_cast<int>(random_.below(11));
  if (from < 0) return;
  int to = fresh(chance(50));
  if (to != from) copy(to, from);
  Value& value = reg_at(to);
  if (value.kind == Kind::kStack) {
    int by = 8 * between(1, 8);
    if (slips()) by = between(-9, 600);
    add(to, -by);
    value.size += by;
    return;
  }
  int by = value.size > 0 ? between(0, value.size - 1) : 0;
  if (chance(70)) by &= ~7;
  if (slips()) by = static_cast<int>(random_.odd());
  if (chance(80)) {
    add(to, by);
  } else {
    int temporary = fresh();
    if (temporary == to) return;
    set_constant(temporary, by);
    emit(Op{BPF_ALU64 | BPF_ADD | BPF_X, to, temporary, 0, 0});
  }
  value.size = std::max(0, value.size - by);
}

void Generator::compare_pointers() {
  auto pointer = [](const Value& value) { return value.kind != Kind::kNone && !value.is_scalar(); };
  int a = find(0, 10, pointer), b = chance(70) ? find(0, 10, pointer) : number();
  if (a < 0 || (!may_leak() && !slips())) return;
  static constexpr u8 codes[] = {BPF_JEQ, BPF_JNE, BPF_JGT, BPF_JLE, BPF_JSLT};
  size_t over = chance(70) ? jump(Op{BPF_JMP | random_.pick(codes) | BPF_X, a, b, 0, 0})
                           : jump(Op{BPF_JMP | (chance(50) ? BPF_JEQ : BPF_JNE) | BPF_K, a, 0, 0, 0});
  program_.runs = false;  // addresses differ from run to run
  State before = state_;
  block(1);
  land(over);
  state_.meet(before);
}

// A jump over what follows, on a number.
Insn Generator::condition(int reg, bool& narrow) {
  static constexpr u8 codes[] = {BPF_JEQ,  BPF_JNE,  BPF_JGT,  BPF_JGE,  BPF_JLT, BPF_JLE,
                                 BPF_JSET, BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE};
  narrow = chance(30);
  u8 code = static_cast<u8>((narrow ? BPF_JMP32 : BPF_JMP) | random_.pick(codes));
  if (chance(35)) {
    int other = find(0, 9, [](const Value& value) { return value.is_scalar(); });
    return Op{code | BPF_X, reg, other < 0 ? reg : other, 0, 0};
  }
  s64 imm = reg_at(reg).max < 1000 && chance(60) ? between(0, static_cast<int>(reg_at(reg).max) + 1)
                                                 : static_cast<s32>(random_.odd());
  return Op{code | BPF_K, reg, 0, 0, imm};
}

}  // namespace bpfemu::fuzz

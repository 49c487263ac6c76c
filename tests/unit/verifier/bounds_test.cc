// SPDX-License-Identifier: Apache-2.0
// What is known of scalars must contain what is true: arithmetic and comparisons against concrete values.
#include "emu/verifier/bounds.h"

#include <catch2/catch.hpp>
#include <random>

using namespace bpfemu;

namespace {

constexpr int kRounds = 20000;

bool contains(const Reg& reg, u64 value) {
  u32 low = static_cast<u32>(value);
  s64 s = static_cast<s64>(value);
  s32 slow = static_cast<s32>(low);
  return reg.var_off.contains(Tnum::constant(value)) && reg.r64.umin <= value && value <= reg.r64.umax &&
         reg.r64.smin <= s && s <= reg.r64.smax && reg.r32.umin <= low && low <= reg.r32.umax && reg.r32.smin <= slow &&
         slow <= reg.r32.smax;
}

class Random {
 public:
  u64 number() {
    u64 n = engine_();
    switch (engine_() % 5) {
      case 0: return n % 16;
      case 1: return ~(n % 16);
      case 2: return static_cast<u32>(n);
      case 3: return u64{1} << (n % 64);
      default: return n;
    }
  }
  // Something true of `value`: some of its bits, or a range around it.
  Reg about(u64 value) {
    Reg reg;
    set_unknown(reg, false);
    switch (engine_() % 4) {
      case 0: set_known(reg, value); break;
      case 1: {
        u64 mask = number();
        reg.var_off = {value & ~mask, mask};
        break;
      }
      case 2: {
        u64 slack = number() % 1000;
        reg.r64.umin = value > slack ? value - slack : 0;
        reg.r64.umax = value + slack < value ? ~u64{0} : value + slack;
        break;
      }
      default: break;
    }
    sync_bounds(reg);
    return reg;
  }
  u64 pick(u64 limit) { return engine_() % limit; }

 private:
  std::mt19937_64 engine_{1};
};

u64 compute(u8 op, bool alu32, u64 a, u64 b) {
  u64 width = alu32 ? 32 : 64;
  if (alu32) a = static_cast<u32>(a), b = static_cast<u32>(b);
  u64 result = 0;
  switch (op) {
    case BPF_ADD: result = a + b; break;
    case BPF_SUB: result = a - b; break;
    case BPF_MUL: result = a * b; break;
    case BPF_AND: result = a & b; break;
    case BPF_OR: result = a | b; break;
    case BPF_XOR: result = a ^ b; break;
    case BPF_LSH: result = a << (b % width); break;
    case BPF_RSH: result = a >> (b % width); break;
    default:
      result = alu32 ? static_cast<u64>(static_cast<s32>(a) >> (b % 32)) : static_cast<u64>(static_cast<s64>(a) >> b);
  }
  return alu32 ? static_cast<u32>(result) : result;
}

bool holds(u8 op, bool jmp32, u64 a, u64 b) {
  if (jmp32) {
    a = static_cast<u32>(a), b = static_cast<u32>(b);
    if (op == BPF_JSGT || op == BPF_JSGE || op == BPF_JSLT || op == BPF_JSLE) {
      a = static_cast<u64>(s64{static_cast<s32>(a)}), b = static_cast<u64>(s64{static_cast<s32>(b)});
    }
  }
  s64 sa = static_cast<s64>(a), sb = static_cast<s64>(b);
  switch (op) {
    case BPF_JEQ: return a == b;
    case BPF_JNE: return a != b;
    case BPF_JSET: return (a & b) != 0;
    case BPF_JGT: return a > b;
    case BPF_JGE: return a >= b;
    case BPF_JLT: return a < b;
    case BPF_JLE: return a <= b;
    case BPF_JSGT: return sa > sb;
    case BPF_JSGE: return sa >= sb;
    case BPF_JSLT: return sa < sb;
    default: return sa <= sb;
  }
}

constexpr u8 kOperations[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH, BPF_ARSH};
constexpr u8 kComparisons[] = {BPF_JEQ, BPF_JNE,  BPF_JSET, BPF_JGT,  BPF_JGE, BPF_JLT,
                               BPF_JLE, BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE};

}  // namespace

TEST_CASE("tracked numbers") {
  CHECK(Tnum::range(4, 7) == Tnum{4, 3});
  CHECK(Tnum::range(0, ~u64{0}).is_unknown());
  CHECK(Tnum::constant(5).text() == "(0x5; 0x0)");
  CHECK(tnum_add({4, 3}, Tnum::constant(4)) == Tnum{8, 3});
  CHECK(tnum_and(Tnum::unknown(), Tnum::constant(0xf0)) == Tnum{0, 0xf0});
  CHECK_FALSE(Tnum{4, 3}.contains(Tnum::constant(8)));
}

TEST_CASE("arithmetic never loses a value") {
  Random random;
  for (int round = 0; round < kRounds; ++round) {
    u8 op = kOperations[random.pick(std::size(kOperations))];
    bool alu32 = random.pick(2);
    u64 a = random.number(), b = random.number();
    bool shift = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
    if (shift) b %= alu32 ? 32 : 64;
    Reg dst = random.about(a), src = random.about(b);
    // Only additions, subtractions and ANDs are computed with an unknown operand.
    if (op != BPF_ADD && op != BPF_SUB && op != BPF_AND) set_known(src, b);
    if (!scalar_alu(op, alu32, dst, src)) continue;
    if (alu32) zero_extend_low(dst);
    sync_bounds(dst);
    INFO("op " << int{op} << " alu32 " << alu32 << " a " << a << " b " << b);
    REQUIRE(contains(dst, compute(op, alu32, a, b)));
  }
}

TEST_CASE("comparisons never lose a value") {
  Random random;
  for (int round = 0; round < kRounds; ++round) {
    u8 op = kComparisons[random.pick(std::size(kComparisons))];
    bool jmp32 = random.pick(2);
    u64 a = random.number();
    // Constants are sign-extended, as in instructions.
    u64 b = static_cast<u64>(s64{static_cast<s32>(random.number())});
    Reg taken = random.about(a), fallthrough = taken;
    INFO("op " << int{op} << " jmp32 " << jmp32 << " a " << a << " b " << b);
    bool truth = holds(op, jmp32, a, b);
    switch (branch_taken(taken, b, op, jmp32)) {
      case Branch::kTaken: REQUIRE(truth); continue;
      case Branch::kFallthrough: REQUIRE_FALSE(truth); continue;
      case Branch::kUnknown: break;
    }
    narrow_by_constant(taken, fallthrough, b, static_cast<u32>(b), op, jmp32);
    REQUIRE(contains(truth ? taken : fallthrough, a));
  }
}

TEST_CASE("loads are truncated") {
  Reg reg;
  set_known(reg, 0x1234567890);
  truncate(reg, 2);
  CHECK(reg.var_off.equals(0x7890));
  CHECK(reg.r64.umax == 0x7890);
}

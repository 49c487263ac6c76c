// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/verifier/tnum.h"

#include <fmt/format.h>

#include <bit>

namespace bpfemu {

namespace {

// `known` with the bits of `unknown` forgotten.
Tnum forget(u64 known, u64 unknown) {
  return {known & ~unknown, unknown};
}

}  // namespace

Tnum Tnum::range(u64 min, u64 max) {
  int differing = std::bit_width(min ^ max);
  if (differing > 63) return unknown();
  return forget(min, (u64{1} << differing) - 1);
}

Tnum Tnum::with_low(u32 constant) const {
  return tnum_or(high(), Tnum::constant(constant));
}

Tnum Tnum::truncated(u32 bytes) const {
  u64 keep = bytes >= 8 ? ~u64{0} : (u64{1} << (bytes * 8)) - 1;
  return {value & keep, mask & keep};
}

bool Tnum::contains(Tnum other) const {
  if (other.mask & ~mask) return false;
  return value == (other.value & ~mask);
}

std::string Tnum::text() const {
  return fmt::format("({:#x}; {:#x})", value, mask);
}

Tnum tnum_shift_left(Tnum a, u32 by) {
  return {a.value << by, a.mask << by};
}

Tnum tnum_shift_right(Tnum a, u32 by) {
  return {a.value >> by, a.mask >> by};
}

Tnum tnum_shift_right_signed(Tnum a, u32 by, u32 width) {
  if (width == 32) {
    return {static_cast<u32>(static_cast<s32>(a.value) >> by), static_cast<u32>(static_cast<s32>(a.mask) >> by)};
  }
  return {static_cast<u64>(static_cast<s64>(a.value) >> by), static_cast<u64>(static_cast<s64>(a.mask) >> by)};
}

Tnum tnum_add(Tnum a, Tnum b) {
  // A bit is unknown when it is so in an operand, or when the carries of the least and the greatest sum differ there.
  u64 least = a.value + b.value;
  u64 greatest = a.max() + b.max();
  return forget(least, (least ^ greatest) | a.mask | b.mask);
}

Tnum tnum_sub(Tnum a, Tnum b) {
  u64 difference = a.value - b.value;
  u64 borrows = (difference + a.mask) ^ (difference - b.mask);
  return forget(difference, borrows | a.mask | b.mask);
}

Tnum tnum_and(Tnum a, Tnum b) {
  u64 ones = a.value & b.value;
  return {ones, a.max() & b.max() & ~ones};
}

Tnum tnum_or(Tnum a, Tnum b) {
  u64 ones = a.value | b.value;
  return {ones, (a.mask | b.mask) & ~ones};
}

Tnum tnum_xor(Tnum a, Tnum b) {
  return forget(a.value ^ b.value, a.mask | b.mask);
}

Tnum tnum_mul(Tnum a, Tnum b) {
  // Long multiplication: the known parts give a constant, each unknown partial product adds its mask.
  Tnum known = Tnum::constant(a.value * b.value);
  Tnum uncertain = Tnum::constant(0);
  for (; a.value || a.mask; a = tnum_shift_right(a, 1), b = tnum_shift_left(b, 1)) {
    if (a.value & 1) {
      uncertain = tnum_add(uncertain, {0, b.mask});
    } else if (a.mask & 1) {
      uncertain = tnum_add(uncertain, {0, b.max()});
    }
  }
  return tnum_add(known, uncertain);
}

Tnum tnum_intersect(Tnum a, Tnum b) {
  return forget(a.value | b.value, a.mask & b.mask);
}

}  // namespace bpfemu

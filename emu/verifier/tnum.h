// SPDX-License-Identifier: Apache-2.0
// Tracked numbers: what is known of each bit of a 64-bit value. A bit set in `mask` is unknown (and 0 in `value`).
#pragma once

#include <string>

#include "emu/base/types.h"

namespace bpfemu {

struct Tnum {
  u64 value = 0;
  u64 mask = ~u64{0};

  friend bool operator==(const Tnum&, const Tnum&) = default;

  static constexpr Tnum constant(u64 value) { return {value, 0}; }
  static constexpr Tnum unknown() { return {0, ~u64{0}}; }
  // `known` with the bits of `unknown` forgotten.
  static constexpr Tnum known_but(u64 known, u64 unknown) { return {known & ~unknown, unknown}; }
  // The smallest tracked number that contains [min, max].
  static Tnum range(u64 min, u64 max);

  bool is_const() const { return mask == 0; }
  bool is_unknown() const { return mask == ~u64{0}; }
  bool equals(u64 constant) const { return mask == 0 && value == constant; }
  u64 min() const { return value; }
  u64 max() const { return value | mask; }

  // The low 32 bits, zero-extended; the high ones, with the low known to be 0.
  Tnum low() const { return truncated(4); }
  Tnum high() const { return {value >> 32 << 32, mask >> 32 << 32}; }
  Tnum with_low(u32 constant) const;
  Tnum truncated(u32 bytes) const {
    u64 keep = bytes >= 8 ? ~u64{0} : (u64{1} << (bytes * 8)) - 1;
    return {value & keep, mask & keep};
  }
  bool low_is_const() const { return static_cast<u32>(mask) == 0; }
  bool is_aligned(u64 size) const { return size == 0 || ((value | mask) & (size - 1)) == 0; }
  // Is every number of `other` one of ours?
  bool contains(Tnum other) const { return !(other.mask & ~mask) && value == (other.value & ~mask); }
  // "(0x10; 0xff)"
  std::string text() const;
};

inline Tnum tnum_shift_left(Tnum a, u32 by) {
  return {a.value << by, a.mask << by};
}

inline Tnum tnum_shift_right(Tnum a, u32 by) {
  return {a.value >> by, a.mask >> by};
}

inline Tnum tnum_shift_right_signed(Tnum a, u32 by, u32 width) {
  if (width == 32) {
    return {static_cast<u32>(static_cast<s32>(a.value) >> by), static_cast<u32>(static_cast<s32>(a.mask) >> by)};
  }
  return {static_cast<u64>(static_cast<s64>(a.value) >> by), static_cast<u64>(static_cast<s64>(a.mask) >> by)};
}

inline Tnum tnum_add(Tnum a, Tnum b) {
  // A bit is unknown when it is so in an operand, or when the carries of the least and the greatest sum differ there.
  u64 least = a.value + b.value;
  u64 greatest = a.max() + b.max();
  return Tnum::known_but(least, (least ^ greatest) | a.mask | b.mask);
}

inline Tnum tnum_sub(Tnum a, Tnum b) {
  u64 difference = a.value - b.value;
  u64 borrows = (difference + a.mask) ^ (difference - b.mask);
  return Tnum::known_but(difference, borrows | a.mask | b.mask);
}

inline Tnum tnum_and(Tnum a, Tnum b) {
  u64 ones = a.value & b.value;
  return {ones, a.max() & b.max() & ~ones};
}

inline Tnum tnum_or(Tnum a, Tnum b) {
  u64 ones = a.value | b.value;
  return {ones, (a.mask | b.mask) & ~ones};
}

inline Tnum tnum_xor(Tnum a, Tnum b) {
  return Tnum::known_but(a.value ^ b.value, a.mask | b.mask);
}

Tnum tnum_mul(Tnum a, Tnum b);

// What is known when both are true of the same number.
inline Tnum tnum_intersect(Tnum a, Tnum b) {
  return Tnum::known_but(a.value | b.value, a.mask & b.mask);
}

}  // namespace bpfemu

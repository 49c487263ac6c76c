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
  Tnum truncated(u32 bytes) const;
  bool low_is_const() const { return static_cast<u32>(mask) == 0; }
  bool is_aligned(u64 size) const { return size == 0 || ((value | mask) & (size - 1)) == 0; }
  // Is every number of `other` one of ours?
  bool contains(Tnum other) const;
  // "(0x10; 0xff)"
  std::string text() const;
};

Tnum tnum_shift_left(Tnum a, u32 by);
Tnum tnum_shift_right(Tnum a, u32 by);
Tnum tnum_shift_right_signed(Tnum a, u32 by, u32 width);
Tnum tnum_add(Tnum a, Tnum b);
Tnum tnum_sub(Tnum a, Tnum b);
Tnum tnum_and(Tnum a, Tnum b);
Tnum tnum_or(Tnum a, Tnum b);
Tnum tnum_xor(Tnum a, Tnum b);
Tnum tnum_mul(Tnum a, Tnum b);
// What is known when both are true of the same number.
Tnum tnum_intersect(Tnum a, Tnum b);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/verifier/tnum.h"

#include <fmt/format.h>

#include <bit>

namespace bpfemu {

Tnum Tnum::range(u64 min, u64 max) {
  int differing = std::bit_width(min ^ max);
  if (differing > 63) return unknown();
  return known_but(min, (u64{1} << differing) - 1);
}

Tnum Tnum::with_low(u32 constant) const {
  return tnum_or(high(), Tnum::constant(constant));
}

std::string Tnum::text() const {
  return fmt::format("({:#x}; {:#x})", value, mask);
}

Tnum tnum_mul(Tnum a, Tnum b) {
  // Long multiplication: the known parts give a constant, each unknown partial product adds its mask.
  Tnum known = Tnum::constant(a.value * b.value);
  if (a.is_const() && b.is_const()) return known;
  Tnum uncertain = Tnum::constant(0);
  for (u64 rest = a.max(); rest; rest &= rest - 1) {
    int bit = std::countr_zero(rest);
    u64 partial = a.value >> bit & 1 ? b.mask : b.max();
    uncertain = tnum_add(uncertain, {0, partial << bit});
  }
  return tnum_add(known, uncertain);
}

}  // namespace bpfemu

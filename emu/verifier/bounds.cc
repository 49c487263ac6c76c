// SPDX-License-Identifier: Apache-2.0
#include "emu/verifier/bounds.h"

#include <algorithm>

namespace bpfemu {

namespace {

template <class S, class U>
void tighten(Range<S, U>& range, Tnum bits) {
  constexpr U kSign = U{1} << (sizeof(U) * 8 - 1);
  U value = static_cast<U>(bits.value), mask = static_cast<U>(bits.mask);
  range.smin = std::max(range.smin, static_cast<S>(value | (mask & kSign)));
  range.smax = std::min(range.smax, static_cast<S>(value | (mask & ~kSign)));
  range.umin = std::max(range.umin, value);
  range.umax = std::min(range.umax, static_cast<U>(value | mask));
}

// Learns unsigned limits from signed ones and back, where the sign is known.
template <class S, class U>
void deduce(Range<S, U>& range) {
  auto raise_min = [&] {
    range.umin = std::max(static_cast<U>(range.smin), range.umin);
    range.smin = static_cast<S>(range.umin);
  };
  auto lower_max = [&] {
    range.umax = std::min(static_cast<U>(range.smax), range.umax);
    range.smax = static_cast<S>(range.umax);
  };
  if (range.smin >= 0 || range.smax < 0) {
    raise_min();
    lower_max();
  } else if (static_cast<S>(range.umax) >= 0) {
    // Positive: the lower unsigned limit is the better one.
    range.smin = static_cast<S>(range.umin);
    lower_max();
  } else if (static_cast<S>(range.umin) < 0) {
    raise_min();
    range.smax = static_cast<S>(range.umax);
  }
}

void bits_from_ranges(Reg& reg) {
  Tnum wide = tnum_intersect(reg.var_off, Tnum::range(reg.r64.umin, reg.r64.umax));
  Tnum low = tnum_intersect(wide.low(), Tnum::range(reg.r32.umin, reg.r32.umax));
  reg.var_off = tnum_or(wide.high(), low);
}

void clear_target(Reg& reg) {
  reg.off = 0;
  reg.object = nullptr;
  reg.detail = 0;
  reg.dynptr_type = 0;
  reg.dynptr_first = false;
  reg.id = 0;
  reg.ref_obj_id = 0;
}

// The 64-bit range that a zero-extended low half has.
void widen_from_low(Reg& reg) {
  reg.r64.umin = reg.r32.umin;
  reg.r64.umax = reg.r32.umax;
  if (reg.r32.smin >= 0 && reg.r32.smax >= 0) {
    reg.r64.smin = reg.r32.smin;
    reg.r64.smax = reg.r32.smax;
  } else {
    reg.r64.smin = 0;
    reg.r64.smax = std::numeric_limits<u32>::max();
  }
}

// The low half's range from the 64-bit one, where that fits.
void low_from_wide(Reg& reg) {
  auto is_s32 = [](s64 n) { return n == static_cast<s32>(n); };
  auto is_u32 = [](u64 n) { return n == static_cast<u32>(n); };
  reg.r32 = {};
  if (is_s32(reg.r64.smin) && is_s32(reg.r64.smax)) {
    reg.r32.smin = static_cast<s32>(reg.r64.smin);
    reg.r32.smax = static_cast<s32>(reg.r64.smax);
  }
  if (is_u32(reg.r64.umin) && is_u32(reg.r64.umax)) {
    reg.r32.umin = static_cast<u32>(reg.r64.umin);
    reg.r32.umax = static_cast<u32>(reg.r64.umax);
  }
}

// Does `a op b` hold for all, or for none, of the values of `range`?
template <class S, class U>
Branch compare(const Range<S, U>& range, Tnum bits, U value, u8 op) {
  auto decide = [](bool always, bool never) {
    return always ? Branch::kTaken : never ? Branch::kFallthrough : Branch::kUnknown;
  };
  S signed_value = static_cast<S>(value);
  switch (op) {
    case BPF_JEQ: return decide(bits.equals(value), bits.is_const());
    case BPF_JNE: return decide(bits.is_const() && bits.value != value, bits.is_const());
    case BPF_JSET: return decide(bits.value & value, !(bits.max() & value));
    case BPF_JGT: return decide(range.umin > value, range.umax <= value);
    case BPF_JGE: return decide(range.umin >= value, range.umax < value);
    case BPF_JLT: return decide(range.umax < value, range.umin >= value);
    case BPF_JLE: return decide(range.umax <= value, range.umin > value);
    case BPF_JSGT: return decide(range.smin > signed_value, range.smax <= signed_value);
    case BPF_JSGE: return decide(range.smin >= signed_value, range.smax < signed_value);
    case BPF_JSLT: return decide(range.smax < signed_value, range.smin >= signed_value);
    case BPF_JSLE: return decide(range.smax <= signed_value, range.smin > signed_value);
    default: return Branch::kUnknown;
  }
}

// Ordering comparisons: `x > v` bounds x from below when taken and from above when not. False: not an ordering.
template <class S, class U>
bool narrow_order(Range<S, U>& taken, Range<S, U>& fallthrough, U v, u8 op) {
  S s = static_cast<S>(v);
  auto next = [](S n) { return static_cast<S>(static_cast<U>(n) + 1); };
  auto previous = [](S n) { return static_cast<S>(static_cast<U>(n) - 1); };
  auto at_least = [](auto& limit, auto value) { limit = std::max(limit, value); };
  auto at_most = [](auto& limit, auto value) { limit = std::min(limit, value); };
  switch (op) {
    case BPF_JGT: at_most(fallthrough.umax, v), at_least(taken.umin, static_cast<U>(v + 1)); return true;
    case BPF_JGE: at_most(fallthrough.umax, static_cast<U>(v - 1)), at_least(taken.umin, v); return true;
    case BPF_JLT: at_least(fallthrough.umin, v), at_most(taken.umax, static_cast<U>(v - 1)); return true;
    case BPF_JLE: at_least(fallthrough.umin, static_cast<U>(v + 1)), at_most(taken.umax, v); return true;
    case BPF_JSGT: at_most(fallthrough.smax, s), at_least(taken.smin, next(s)); return true;
    case BPF_JSGE: at_most(fallthrough.smax, previous(s)), at_least(taken.smin, s); return true;
    case BPF_JSLT: at_least(fallthrough.smin, s), at_most(taken.smax, previous(s)); return true;
    case BPF_JSLE: at_least(fallthrough.smin, next(s)), at_most(taken.smax, s); return true;
    default: return false;
  }
}

// `if (bits & v)`: not taken means that all these bits are 0; taken, with a single bit, that it is 1.
void narrow_bits(Tnum& taken, Tnum& fallthrough, u64 v) {
  fallthrough = tnum_and(fallthrough, Tnum::constant(~v));
  if (v != 0 && (v & (v - 1)) == 0) taken = tnum_or(taken, Tnum::constant(v));
}

}  // namespace

void set_value(Reg& reg, u64 value) {
  reg.var_off = Tnum::constant(value);
  reg.r64 = Range64::constant(value);
  reg.r32 = Range32::constant(static_cast<u32>(value));
}

void set_low_value(Reg& reg, u32 value) {
  reg.var_off = reg.var_off.with_low(value);
  reg.r32 = Range32::constant(value);
}

void set_known(Reg& reg, u64 value) {
  clear_target(reg);
  set_value(reg, value);
}

void forget_bounds(Reg& reg) {
  reg.r64 = {};
  reg.r32 = {};
}

void set_unknown(Reg& reg, bool precise) {
  clear_target(reg);
  reg.type = kScalar;
  reg.var_off = Tnum::unknown();
  reg.frame = 0;
  reg.precise = precise;
  forget_bounds(reg);
}

void set_not_init(Reg& reg, bool precise) {
  set_unknown(reg, precise);
  reg.type = kNotInit;
}

void tighten_low_by_bits(Reg& reg) {
  tighten(reg.r32, reg.var_off.low());
}

void tighten_by_bits(Reg& reg) {
  tighten_low_by_bits(reg);
  tighten(reg.r64, reg.var_off);
}

void sync_bounds(Reg& reg) {
  tighten_by_bits(reg);
  deduce(reg.r32);
  deduce(reg.r64);
  bits_from_ranges(reg);
  tighten_by_bits(reg);
}

void zero_extend_low(Reg& reg) {
  reg.var_off = reg.var_off.low();
  widen_from_low(reg);
}

void truncate(Reg& reg, u32 bytes) {
  reg.var_off = reg.var_off.truncated(bytes);
  u64 keep = (u64{1} << (bytes * 8)) - 1;
  if ((reg.r64.umin & ~keep) == (reg.r64.umax & ~keep)) {
    reg.r64.umin &= keep;
    reg.r64.umax &= keep;
  } else {
    reg.r64.umin = 0;
    reg.r64.umax = keep;
  }
  reg.r64.smin = static_cast<s64>(reg.r64.umin);
  reg.r64.smax = static_cast<s64>(reg.r64.umax);
  // The low half of a 4-byte load keeps the range it had.
  if (bytes < 4) {
    low_from_wide(reg);
    sync_bounds(reg);
  }
}

Branch branch_taken(const Reg& reg, u64 value, u8 op, bool jmp32) {
  if (reg.type != kScalar) {
    bool never_null = reg.type == kPtrToSocket || reg.type == kPtrToTcpSock || reg.type == kPtrToMapValue ||
                      reg.type == kPtrToMapKey || reg.type == kPtrToSockCommon;
    if (!never_null || value != 0) return Branch::kUnknown;
    return op == BPF_JEQ ? Branch::kFallthrough : op == BPF_JNE ? Branch::kTaken : Branch::kUnknown;
  }
  if (jmp32) return compare(reg.r32, reg.var_off.low(), static_cast<u32>(value), op);
  return compare(reg.r64, reg.var_off, value, op);
}

u8 swap_operands(u8 op) {
  switch (op) {
    case BPF_JEQ:
    case BPF_JNE:
    case BPF_JSET: return op;
    case BPF_JGE: return BPF_JLE;
    case BPF_JGT: return BPF_JLT;
    case BPF_JLE: return BPF_JGE;
    case BPF_JLT: return BPF_JGT;
    case BPF_JSGE: return BPF_JSLE;
    case BPF_JSGT: return BPF_JSLT;
    case BPF_JSLE: return BPF_JSGE;
    case BPF_JSLT: return BPF_JSGT;
    default: return 0;
  }
}

void narrow_by_constant(Reg& taken, Reg& fallthrough, u64 value, u32 low, u8 op, bool jmp32) {
  if (fallthrough.type != kScalar) return;
  Tnum taken_low = taken.var_off.low(), taken_wide = taken.var_off;
  Tnum fall_low = fallthrough.var_off.low(), fall_wide = fallthrough.var_off;

  if (op == BPF_JEQ || op == BPF_JNE) {
    bool eq = op == BPF_JEQ;
    Reg& equal = eq ? taken : fallthrough;
    if (jmp32) {
      set_low_value(equal, low);
      (eq ? taken_low : fall_low) = equal.var_off.low();
    } else {
      set_value(equal, value);
      (eq ? taken_wide : fall_wide) = equal.var_off;
    }
  } else if (op == BPF_JSET) {
    forget_bounds(fallthrough);
    if (jmp32) {
      narrow_bits(taken_low, fall_low, low);
    } else {
      narrow_bits(taken_wide, fall_wide, value);
    }
  } else if (jmp32 ? !narrow_order(taken.r32, fallthrough.r32, low, op)
                   : !narrow_order(taken.r64, fallthrough.r64, value, op)) {
    return;
  }

  auto settle = [jmp32](Reg& reg, Tnum wide, Tnum low_bits) {
    if (!jmp32) {
      reg.var_off = wide;
      low_from_wide(reg);
      return sync_bounds(reg);
    }
    reg.var_off = tnum_or(wide.high(), low_bits.low());
    // What the low half says holds for all of it only when the high half is 0.
    if (reg.var_off.high().equals(0)) {
      widen_from_low(reg);
    } else {
      reg.r64 = {};
    }
    sync_bounds(reg);
  };
  settle(fallthrough, fall_wide, fall_low);
  settle(taken, taken_wide, taken_low);
}

void narrow_by_equality(Reg& a, Reg& b) {
  Range64 both{std::max(a.r64.smin, b.r64.smin), std::min(a.r64.smax, b.r64.smax), std::max(a.r64.umin, b.r64.umin),
               std::min(a.r64.umax, b.r64.umax)};
  a.r64 = b.r64 = both;
  a.var_off = b.var_off = tnum_intersect(a.var_off, b.var_off);
  sync_bounds(a);
  sync_bounds(b);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Arithmetic on what is known of scalars (kernel: scalar_min_max_add and its family). Each operation exists once, for
// both widths.
#include <algorithm>

#include "emu/verifier/bounds.h"

namespace bpfemu {

namespace {

template <class S, class U>
void add(Range<S, U>& d, const Range<S, U>& s) {
  S low, high;
  if (__builtin_add_overflow(d.smin, s.smin, &low) || __builtin_add_overflow(d.smax, s.smax, &high)) {
    d.forget_signed();
  } else {
    d.smin = low, d.smax = high;
  }
  U ulow, uhigh;
  if (__builtin_add_overflow(d.umin, s.umin, &ulow) || __builtin_add_overflow(d.umax, s.umax, &uhigh)) {
    d.forget_unsigned();
  } else {
    d.umin = ulow, d.umax = uhigh;
  }
}

template <class S, class U>
void sub(Range<S, U>& d, const Range<S, U>& s) {
  S low, high;
  if (__builtin_sub_overflow(d.smin, s.smax, &low) || __builtin_sub_overflow(d.smax, s.smin, &high)) {
    d.forget_signed();
  } else {
    d.smin = low, d.smax = high;
  }
  if (d.umin < s.umax) {
    d.forget_unsigned();
  } else {
    d.umin -= s.umax;
    d.umax -= s.umin;
  }
}

template <class S, class U>
void mul(Range<S, U>& d, const Range<S, U>& s) {
  // Only products of two non-negative half-width numbers are followed: they cannot overflow.
  constexpr U kHalf = std::numeric_limits<U>::max() >> (sizeof(U) * 4);
  if (s.smin < 0 || d.smin < 0 || s.umax > kHalf || d.umax > kHalf) {
    d = {};
    return;
  }
  d.umin *= s.umin;
  d.umax *= s.umax;
  if (d.umax > static_cast<U>(std::numeric_limits<S>::max())) {
    d.forget_signed();
  } else {
    d.smin = static_cast<S>(d.umin);
    d.smax = static_cast<S>(d.umax);
  }
}

// AND, OR and XOR: `bits` is the result's. Unsigned limits come from the bits; signed ones follow if no sign is set.
template <class S, class U>
void bitwise(u8 op, Range<S, U>& d, const Range<S, U>& s, Tnum bits) {
  U least = static_cast<U>(bits.value), greatest = static_cast<U>(bits.max());
  d.umin = op == BPF_OR ? std::max(d.umin, s.umin) : least;
  d.umax = op == BPF_AND ? std::min(d.umax, s.umax) : greatest;
  if (d.smin < 0 || s.smin < 0) {
    d.forget_signed();
  } else {
    d.smin = static_cast<S>(d.umin);
    d.smax = static_cast<S>(d.umax);
  }
}

void bitwise_both(u8 op, Reg& dst, const Reg& src) {
  dst.var_off = op == BPF_AND  ? tnum_and(dst.var_off, src.var_off)
                : op == BPF_OR ? tnum_or(dst.var_off, src.var_off)
                               : tnum_xor(dst.var_off, src.var_off);
  if (src.var_off.low_is_const() && dst.var_off.low_is_const()) {
    set_low_value(dst, static_cast<u32>(dst.var_off.value));
  } else {
    bitwise(op, dst.r32, src.r32, dst.var_off.low());
  }
  if (src.var_off.is_const() && dst.var_off.is_const()) {
    set_known(dst, dst.var_off.value);
  } else {
    bitwise(op, dst.r64, src.r64, dst.var_off);
    tighten_by_bits(dst);
  }
}

void shift_low_left(Range32& d, u64 least, u64 most) {
  d.forget_signed();
  if (most > 31 || d.umax > u64{1} << (31 - most)) {
    d.forget_unsigned();
  } else {
    d.umin <<= least;
    d.umax <<= most;
  }
}

void shift_left(bool alu32, Reg& dst, const Reg& src) {
  if (alu32) {
    Tnum low = dst.var_off.low();
    shift_low_left(dst.r32, src.r32.umin, src.r32.umax);
    dst.var_off = tnum_shift_left(low, src.r32.umin).low();
    dst.r64 = {};
    return tighten_low_by_bits(dst);
  }
  u64 least = src.r64.umin, most = src.r64.umax;
  if (least == 32 && most == 32) {
    // Half of the idiom that sign-extends a 32-bit value.
    dst.r64.smax = static_cast<s64>(static_cast<u64>(static_cast<s64>(dst.r32.smax)) << 32);
    dst.r64.smin = static_cast<s64>(static_cast<u64>(static_cast<s64>(dst.r32.smin)) << 32);
  } else {
    dst.r64.forget_signed();
  }
  if (dst.r64.umax > u64{1} << (63 - most)) {
    dst.r64.forget_unsigned();
  } else {
    dst.r64.umin <<= least;
    dst.r64.umax <<= most;
  }
  shift_low_left(dst.r32, least, most);
  dst.var_off = tnum_shift_left(dst.var_off, static_cast<u32>(least));
  tighten_by_bits(dst);
}

void shift_right(bool alu32, Reg& dst, const Reg& src) {
  if (alu32) {
    dst.r32.forget_signed();
    dst.var_off = tnum_shift_right(dst.var_off.low(), src.r32.umin);
    dst.r32.umin >>= src.r32.umax;
    dst.r32.umax >>= src.r32.umin;
    dst.r64 = {};
    return tighten_low_by_bits(dst);
  }
  dst.r64.forget_signed();
  dst.var_off = tnum_shift_right(dst.var_off, static_cast<u32>(src.r64.umin));
  dst.r64.umin >>= src.r64.umax;
  dst.r64.umax >>= src.r64.umin;
  dst.r32 = {};
  tighten_by_bits(dst);
}

void shift_right_signed(bool alu32, Reg& dst, const Reg& src) {
  if (alu32) {
    u32 by = src.r32.umin;
    dst.r32.smin >>= by;
    dst.r32.smax >>= by;
    dst.var_off = tnum_shift_right_signed(dst.var_off.low(), by, 32);
    dst.r32.forget_unsigned();
    dst.r64 = {};
    return tighten_low_by_bits(dst);
  }
  u32 by = static_cast<u32>(src.r64.umin);
  dst.r64.smin >>= by;
  dst.r64.smax >>= by;
  dst.var_off = tnum_shift_right_signed(dst.var_off, by, 64);
  dst.r64.forget_unsigned();
  dst.r32 = {};
  tighten_by_bits(dst);
}

}  // namespace

bool scalar_alu(u8 op, bool alu32, Reg& dst, const Reg& src) {
  u64 width = alu32 ? 32 : 64;
  bool is_shift = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
  if (is_shift && src.r64.umax >= width) return false;
  switch (op) {
    case BPF_ADD:
      add(dst.r32, src.r32);
      add(dst.r64, src.r64);
      dst.var_off = tnum_add(dst.var_off, src.var_off);
      return true;
    case BPF_SUB:
      sub(dst.r32, src.r32);
      sub(dst.r64, src.r64);
      dst.var_off = tnum_sub(dst.var_off, src.var_off);
      return true;
    case BPF_MUL:
      dst.var_off = tnum_mul(dst.var_off, src.var_off);
      mul(dst.r32, src.r32);
      mul(dst.r64, src.r64);
      return true;
    case BPF_AND:
    case BPF_OR:
    case BPF_XOR: bitwise_both(op, dst, src); return true;
    case BPF_LSH: shift_left(alu32, dst, src); return true;
    case BPF_RSH: shift_right(alu32, dst, src); return true;
    case BPF_ARSH: shift_right_signed(alu32, dst, src); return true;
    default: return false;
  }
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// What is known of a register's value, and how instructions change it. Pure functions on one or two registers.
#pragma once

#include "emu/verifier/state.h"

namespace bpfemu {

// Makes the value known, whatever the register was; type, parent and liveness stay.
void set_known(Reg& reg, u64 value);
// The same, but the register keeps its id, offset and target (a comparison found the value out).
void set_value(Reg& reg, u64 value);
// The low half is known.
void set_low_value(Reg& reg, u32 value);
// A scalar of which nothing is known. `precise`: unprivileged programs do not track precision.
void set_unknown(Reg& reg, bool precise);
void set_not_init(Reg& reg, bool precise);
void forget_bounds(Reg& reg);

// Brings ranges and bits to agree, each narrowed by the others (kernel: reg_bounds_sync).
void sync_bounds(Reg& reg);
// Zero-extends the low half (kernel: zext_32_to_64); the caller syncs.
void zero_extend_low(Reg& reg);
// What a load of `bytes` (less than 8) leaves (kernel: coerce_reg_to_size).
void truncate(Reg& reg, u32 bytes);

// dst = dst `op` src for scalars, with a result that is at least as wide as the truth (kernel: the
// scalar_min_max_* family). `op` is BPF_ADD and so on; false: not computed, the result is unknown.
bool scalar_alu(u8 op, bool alu32, Reg& dst, const Reg& src);

// Which way `if (reg op value)` goes.
enum class Branch { kUnknown, kTaken, kFallthrough };
Branch branch_taken(const Reg& reg, u64 value, u8 op, bool jmp32);
// The operator with its operands swapped; 0 when there is none.
u8 swap_operands(u8 op);
// Narrows what is known on both ways of `if (reg op value)` (kernel: reg_set_min_max).
void narrow_by_constant(Reg& taken, Reg& fallthrough, u64 value, u32 low, u8 op, bool jmp32);
// Two registers that are equal on this way: each gets what is known of the other.
void narrow_by_equality(Reg& a, Reg& b);

// The part of sync_bounds that scalar_alu needs in between.
void tighten_by_bits(Reg& reg);
void tighten_low_by_bits(Reg& reg);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Which registers and slots are read before they are written: reads are marked upwards in the tree of states, so that a
// state is compared only in what its continuation looked at (kernel: mark_reg_read, check_reg_arg).
#include <algorithm>

#include "emu/verifier/checker.h"

namespace bpfemu {

// A read of what the present state has not written itself.
Check Checker::mark_read(const Reg& reg, u8 flag) {
  return reg.live & kWritten ? Check{} : mark_upwards(reg.parent, flag);
}

// Up to the first that was written in its own state, or was marked before, as then are its parents.
Check Checker::mark_upwards(Reg* reg, u8 flag) {
  u32 steps = 0;
  for (bool screened = false; reg && !screened; reg = reg->parent, ++steps) {
    if (reg->live & kDone) {
      return reject(EFAULT, "verifier BUG type {} var_off {} off {}\n", type_text(reg->type),
                    static_cast<s64>(reg->var_off.value), reg->off);
    }
    if ((reg->live & kRead) == flag || reg->live & kRead64) break;
    reg->live |= flag;
    if (flag == kRead64) reg->live &= ~kRead32;
    screened = reg->live & kWritten;
  }
  longest_read_walk_ = std::max(longest_read_walk_, steps);
  return {};
}

// Does the instruction use all 64 bits of a register (kernel: is_reg64)?
bool Checker::is_64_bit_use(const Insn& insn, u32, const Reg* reg, Use use) const {
  u8 cls = BPF_CLASS(insn.code), op = BPF_OP(insn.code);
  bool reading = use == Use::kRead;
  switch (cls) {
    case BPF_JMP:
      if (op == BPF_CALL) return insn.src_reg != BPF_PSEUDO_CALL && reading;
      return true;
    case BPF_ALU64: return true;
    case BPF_ALU: return op == BPF_END && insn.imm == 64;
    case BPF_JMP32: return false;
    case BPF_LDX: return reading || BPF_SIZE(insn.code) == BPF_DW;
    case BPF_STX: return (reading && reg && reg->type != kScalar) || BPF_SIZE(insn.code) == BPF_DW;
    case BPF_LD: return BPF_MODE(insn.code) == BPF_IMM || reading;
    default: return true;
  }
}

void Checker::needs_zero_extension(Reg& reg) {
  if (reg.subreg_def == kNotSubreg) return;
  aux_[reg.subreg_def - 1].zext_dst = true;
  reg.subreg_def = kNotSubreg;
}

Check Checker::use_reg(u32 number, Use use) {
  if (number >= kRegs) return reject(EINVAL, "R{} is invalid\n", number);
  touch_reg(number);
  Reg& r = reg(number);
  bool wide = is_64_bit_use(insns_[insn_], number, &r, use);
  if (use == Use::kRead) {
    if (r.type == kNotInit) return reject(EACCES, "R{} !read_ok\n", number);
    if (number == kFrameReg) return {};
    if (wide) needs_zero_extension(r);
    return mark_read(r, wide ? kRead64 : kRead32);
  }
  if (number == kFrameReg) return reject(EACCES, "frame pointer is read only\n");
  r.live |= kWritten;
  r.subreg_def = wide ? kNotSubreg : static_cast<s32>(insn_ + 1);
  if (use == Use::kWrite) mark_unknown(r);
  return {};
}

// A path ends in a state that was explored before: what that one's continuation read, this one's would read too.
Check Checker::propagate_liveness(const State& from, State& to) {
  // The mark that was added, 0 for none.
  auto propagate = [this](const Reg& reg, Reg& parent) -> Result<u8> {
    u8 has = parent.live & kRead, wants = reg.live & kRead;
    if (has == kRead64 || !wants || has == wants) return u8{0};
    TRY(mark_upwards(&parent, wants));
    return wants;
  };
  if (to.depth != from.depth) return fail(EFAULT);
  for (u32 i = 0; i <= from.depth; ++i) {
    const Frame& source = *from.frames[i];
    Frame& target = *to.frames[i];
    for (u32 r = i < from.depth ? 6 : 0; r < kFrameReg; ++r) {
      u8 added = TRY(propagate(source.regs[r], target.regs[r]));
      if (added == kRead64) needs_zero_extension(target.regs[r]);
    }
    size_t slots = std::min(source.stack.size(), target.stack.size());
    for (size_t slot = 0; slot < slots; ++slot) TRY(propagate(source.stack[slot].spilled, target.stack[slot].spilled));
  }
  return {};
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Arithmetic on registers: scalars, and pointers with scalars (kernel: check_alu_op, adjust_ptr_min_max_vals).
#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

constexpr const char* kOperators[16] = {
    "+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "endian"};

const char* operator_text(u8 op) {
  return kOperators[op >> 4];
}

// Limits that contradict each other: the code is unreachable, say nothing rather than something wrong.
template <class S, class U>
bool is_contradictory(const Range<S, U>& range, bool is_const) {
  if (range.smin > range.smax || range.umin > range.umax) return true;
  return is_const && (range.smin != range.smax || range.umin != range.umax);
}

}  // namespace

Check Checker::check_alu(const Insn& insn) {
  u8 op = BPF_OP(insn.code);
  if (op == BPF_END || op == BPF_NEG) return check_unary(insn);
  if (op == BPF_MOV) return check_move(insn);
  if (op > BPF_END) return reject(EINVAL, "invalid BPF_ALU opcode {:x}\n", op);
  return check_binary(insn);
}

Check Checker::check_unary(const Insn& insn) {
  if (BPF_OP(insn.code) == BPF_NEG) {
    if (BPF_SRC(insn.code) != BPF_K || insn.src_reg != BPF_REG_0 || insn.off != 0 || insn.imm != 0) {
      return reject(EINVAL, "BPF_NEG uses reserved fields\n");
    }
  } else if (insn.src_reg != BPF_REG_0 || insn.off != 0 || (insn.imm != 16 && insn.imm != 32 && insn.imm != 64) ||
             BPF_CLASS(insn.code) == BPF_ALU64) {
    return reject(EINVAL, "BPF_END uses reserved fields\n");
  }
  TRY(use_reg(insn.dst_reg, Use::kRead));
  if (is_pointer_leak(reg(insn.dst_reg))) {
    return reject(EACCES, "R{} pointer arithmetic prohibited\n", u32{insn.dst_reg});
  }
  return use_reg(insn.dst_reg, Use::kWrite);
}

Check Checker::check_move(const Insn& insn) {
  bool from_reg = BPF_SRC(insn.code) == BPF_X, wide = BPF_CLASS(insn.code) == BPF_ALU64;
  if (insn.off != 0 || (from_reg ? insn.imm != 0 : insn.src_reg != BPF_REG_0)) {
    return reject(EINVAL, "BPF_MOV uses reserved fields\n");
  }
  if (from_reg) TRY(use_reg(insn.src_reg, Use::kRead));
  TRY(use_reg(insn.dst_reg, Use::kWriteKeep));
  Reg& dst = reg(insn.dst_reg);
  if (!from_reg) {
    mark_unknown(dst);
    set_known(dst, wide ? static_cast<u64>(s64{insn.imm}) : static_cast<u32>(insn.imm));
    return {};
  }
  Reg& src = reg(insn.src_reg);
  if (wide) {
    // From now on both are known to be equal.
    if (src.is_scalar() && !src.id) src.id = new_id();
    dst.copy_from(src);
    dst.live |= kWritten;
    dst.subreg_def = kNotSubreg;
    return {};
  }
  if (is_pointer_leak(src)) return reject(EACCES, "R{} partial copy of pointer\n", u32{insn.src_reg});
  if (src.is_scalar()) {
    dst.copy_from(src);
    dst.id = 0;
    dst.live |= kWritten;
    dst.subreg_def = static_cast<s32>(insn_ + 1);
  } else {
    mark_unknown(dst);
  }
  zero_extend_low(dst);
  sync_bounds(dst);
  return {};
}

Check Checker::check_binary(const Insn& insn) {
  u8 op = BPF_OP(insn.code);
  bool from_reg = BPF_SRC(insn.code) == BPF_X;
  if (insn.off != 0 || (from_reg ? insn.imm != 0 : insn.src_reg != BPF_REG_0)) {
    return reject(EINVAL, "BPF_ALU uses reserved fields\n");
  }
  if (from_reg) TRY(use_reg(insn.src_reg, Use::kRead));
  TRY(use_reg(insn.dst_reg, Use::kRead));
  if ((op == BPF_MOD || op == BPF_DIV) && !from_reg && insn.imm == 0) return reject(EINVAL, "div by zero\n");
  if ((op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH) && !from_reg) {
    s32 width = BPF_CLASS(insn.code) == BPF_ALU64 ? 64 : 32;
    if (insn.imm < 0 || insn.imm >= width) return reject(EINVAL, "invalid shift {}\n", insn.imm);
  }
  TRY(use_reg(insn.dst_reg, Use::kWriteKeep));

  Reg& dst = reg(insn.dst_reg);
  bool to_pointer = !dst.is_scalar();
  if (!to_pointer) dst.id = 0;
  if (!from_reg) {
    Reg constant;
    constant.type = kScalar;
    set_known(constant, static_cast<u64>(s64{insn.imm}));
    return to_pointer ? pointer_arithmetic(insn, dst, constant) : scalar_arithmetic(insn, dst, constant);
  }
  Reg& src = reg(insn.src_reg);
  if (!src.is_scalar()) {
    if (to_pointer) {
      if (op == BPF_SUB && allow_ptr_leaks_) {
        mark_unknown(dst);
        return {};
      }
      return reject(EACCES, "R{} pointer {} pointer prohibited\n", u32{insn.dst_reg}, operator_text(op));
    }
    // scalar += pointer
    TRY(mark_precise(insn.dst_reg));
    Reg offset = dst;
    return pointer_arithmetic(insn, src, offset);
  }
  if (to_pointer) {
    TRY(mark_precise(insn.src_reg));
    return pointer_arithmetic(insn, dst, src);
  }
  if (dst.precise) TRY(mark_precise(insn.src_reg));
  Reg operand = src;
  return scalar_arithmetic(insn, dst, operand);
}

Check Checker::scalar_arithmetic(const Insn& insn, Reg& dst, const Reg& src) {
  u8 op = BPF_OP(insn.code);
  bool alu32 = BPF_CLASS(insn.code) != BPF_ALU64;
  bool is_const = alu32 ? src.var_off.low_is_const() : src.var_off.is_const();
  if (alu32 ? is_contradictory(src.r32, is_const) : is_contradictory(src.r64, is_const)) {
    mark_unknown(dst);
    return {};
  }
  if (!is_const && op != BPF_ADD && op != BPF_SUB && op != BPF_AND) {
    mark_unknown(dst);
    return {};
  }
  if ((op == BPF_ADD || op == BPF_SUB) && !needs_no_sanitation(insn)) {
    Unsafe reason = update_sanitation(aux_[insn_], kAluNonPointer, 0);
    if (reason != Unsafe::kNo) return reject_unsafe(insn, reason);
  }
  if (!scalar_alu(op, alu32, dst, src)) mark_unknown(dst);
  if (alu32) zero_extend_low(dst);
  sync_bounds(dst);
  return {};
}

// Could the sum of such offsets overflow, or is it absurdly large?
bool Checker::offset_is_sane(const Reg& reg, RegType type) {
  auto too_large = [](s64 n) { return n >= kMaxVarOffset || n <= -kMaxVarOffset; };
  s64 value = static_cast<s64>(reg.var_off.value), smin = reg.r64.smin;
  if (reg.var_off.is_const() && too_large(value)) {
    log_.print("math between {} pointer and {} is not allowed\n", type_text(type), value);
  } else if (too_large(reg.off)) {
    log_.print("{} pointer offset {} is not allowed\n", type_text(type), reg.off);
  } else if (smin == Range64{}.smin) {
    log_.print("math between {} pointer and register with unbounded min value is not allowed\n", type_text(type));
  } else if (too_large(smin)) {
    log_.print("value {} makes {} pointer be out of bounds\n", smin, type_text(type));
  } else {
    return true;
  }
  return false;
}

void Checker::add_offset(Reg& dst, const Reg& pointer, const Reg& offset) {
  Range64 p = pointer.r64;
  const Range64& o = offset.r64;
  s64 fixed = pointer.off + o.smin;
  if (offset.var_off.is_const() && fixed == static_cast<s32>(fixed)) {
    dst.off = static_cast<s32>(fixed);
    return;
  }
  if (__builtin_add_overflow(p.smin, o.smin, &dst.r64.smin) || __builtin_add_overflow(p.smax, o.smax, &dst.r64.smax)) {
    dst.r64.forget_signed();
  }
  if (__builtin_add_overflow(p.umin, o.umin, &dst.r64.umin) || __builtin_add_overflow(p.umax, o.umax, &dst.r64.umax)) {
    dst.r64.forget_unsigned();
  }
  dst.var_off = tnum_add(pointer.var_off, offset.var_off);
  if (dst.is_packet()) {
    // Another variable part: what was compared with the packet's end was a different pointer.
    dst.id = new_id();
    dst.object = nullptr;
    dst.detail = 0;
  }
}

void Checker::subtract_offset(Reg& dst, const Reg& offset) {
  Range64 p = dst.r64;
  const Range64& o = offset.r64;
  s64 fixed = dst.off - o.smin;
  if (offset.var_off.is_const() && fixed == static_cast<s32>(fixed)) {
    dst.off = static_cast<s32>(fixed);
    return;
  }
  if (__builtin_sub_overflow(p.smin, o.smax, &dst.r64.smin) || __builtin_sub_overflow(p.smax, o.smin, &dst.r64.smax)) {
    dst.r64.forget_signed();
  }
  if (p.umin < o.umax) {
    dst.r64.forget_unsigned();
  } else {
    dst.r64.umin = p.umin - o.umax;
    dst.r64.umax = p.umax - o.umin;
  }
  dst.var_off = tnum_sub(dst.var_off, offset.var_off);
  if (dst.is_packet()) {
    dst.id = new_id();
    if (o.smin < 0) {  // something was added
      dst.object = nullptr;
      dst.detail = 0;
    }
  }
}

// `pointer` is dst or src of the instruction; `offset` is not dst.
Check Checker::pointer_arithmetic(const Insn& insn, const Reg& pointer, const Reg& offset) {
  u8 op = BPF_OP(insn.code);
  u32 number = insn.dst_reg;
  Reg& dst = reg(number);
  bool known = offset.var_off.is_const(), pointer_is_dst = &dst == &pointer;
  if (is_contradictory(offset.r64, known)) {
    mark_unknown(dst);
    return {};
  }
  if (BPF_CLASS(insn.code) != BPF_ALU64) {
    if (op == BPF_SUB && allow_ptr_leaks_) {
      mark_unknown(dst);
      return {};
    }
    return reject(EACCES, "R{} 32-bit pointer arithmetic prohibited\n", number);
  }
  if (pointer.may_be_null()) {
    return reject(EACCES, "R{} pointer arithmetic on {} prohibited, null-check it first\n", number,
                  type_text(pointer.type));
  }
  bool adds_nothing = known && offset.r64.smin == 0 && op == BPF_ADD;
  bool prohibited = false;
  switch (base_type(pointer.type)) {
    case kPtrToFlowKeys: prohibited = !known; break;
    case kConstPtrToMap: prohibited = !adds_nothing; break;
    case kPtrToPacketEnd:
    case kPtrToSocket:
    case kPtrToSockCommon:
    case kPtrToTcpSock:
    case kPtrToXdpSock: prohibited = true; break;
    default: break;
  }
  if (prohibited) return reject(EACCES, "R{} pointer arithmetic on {} prohibited\n", number, type_text(pointer.type));

  RegType type = pointer.type;
  if (!pointer_is_dst) dst = pointer;
  if (!offset_is_sane(offset, type) || !offset_is_sane(pointer, type)) return fail(EINVAL);
  dst.r32 = {};

  bool sanitized = op == BPF_ADD || op == BPF_SUB;
  Sanitation info;
  if (sanitized) {
    Unsafe reason = sanitize_pointer(insn, pointer, offset, dst, info, false);
    if (reason != Unsafe::kNo) return reject_unsafe(insn, reason);
  }
  switch (op) {
    case BPF_ADD: add_offset(dst, pointer, offset); break;
    case BPF_SUB:
      if (!pointer_is_dst) return reject(EACCES, "R{} tried to subtract pointer from scalar\n", number);
      // Nothing good comes of it, and the verifier could no longer tell what is written.
      if (type == kPtrToStack) return reject(EACCES, "R{} subtraction from stack pointer prohibited\n", number);
      subtract_offset(dst, offset);
      break;
    case BPF_AND:
    case BPF_OR:
    case BPF_XOR: return reject(EACCES, "R{} bitwise operator {} on pointer prohibited\n", number, operator_text(op));
    default: return reject(EACCES, "R{} pointer arithmetic with {} operator prohibited\n", number, operator_text(op));
  }
  if (!offset_is_sane(dst, type)) return fail(EINVAL);
  sync_bounds(dst);
  TRY(sanitize_bounds(insn, dst));
  if (sanitized) {
    Unsafe reason = sanitize_pointer(insn, dst, offset, dst, info, true);
    if (reason != Unsafe::kNo) return reject_unsafe(insn, reason);
  }
  return {};
}

}  // namespace bpfemu

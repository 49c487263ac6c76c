// SPDX-License-Identifier: Apache-2.0
// Speculative execution: for unprivileged loaders, pointer arithmetic gets a mask so that a mispredicted branch cannot
// reach outside the object; paths that are only possible speculatively are verified too (kernel: sanitize_ptr_alu).
#include <cstdlib>

#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

// How far the pointer may move before it leaves its object.
Unsafe pointer_limit(const Reg& pointer, bool to_left, u32& limit) {
  u32 size;
  if (pointer.type == kPtrToStack) {
    // One more to the left: the frame pointer itself points past the stack.
    size = static_cast<u32>(kMaxStack) + to_left;
    limit = static_cast<u32>(-(pointer.var_off.value + static_cast<u64>(s64{pointer.off})));
  } else if (pointer.type == kPtrToMapValue) {
    size = pointer.map()->map().value_size;
    u64 variable = to_left ? static_cast<u64>(pointer.r64.smin) : pointer.r64.umax;
    limit = static_cast<u32>(variable + static_cast<u64>(s64{pointer.off}));
  } else {
    return Unsafe::kType;
  }
  return limit >= size ? Unsafe::kLimit : Unsafe::kNo;
}

}  // namespace

Unsafe Checker::update_sanitation(InsnAux& aux, u8 state, u32 limit) {
  // One mask per instruction: all paths must agree.
  if (aux.alu_state && (aux.alu_state != state || aux.alu_limit != limit)) return Unsafe::kPaths;
  aux.alu_state = state;
  aux.alu_limit = limit;
  return Unsafe::kNo;
}

State* Checker::push_speculative(const Insn* insn, u32 next, u32 current) {
  State* branch = push_state(next, static_cast<s32>(current), true);
  if (branch && insn) {
    // On the mispredicted way the compared registers can be anything.
    mark_unknown(branch->reg(insn->dst_reg));
    if (BPF_SRC(insn->code) == BPF_X) mark_unknown(branch->reg(insn->src_reg));
  }
  return branch;
}

// Called before (`commit` false) and after the addition: the second time with the result, to narrow the limit.
Unsafe Checker::sanitize_pointer(const Insn& insn, const Reg& pointer, const Reg& offset, Reg& dst, Sanitation& info,
                                 bool commit) {
  if (needs_no_sanitation(insn)) return Unsafe::kNo;
  bool is_immediate = offset.var_off.is_const(), is_negative = offset.r64.smin < 0;
  bool pointer_is_dst = &pointer == &dst;
  if (!cur_.speculative) {
    u8 op = BPF_OP(insn.code);
    if (!commit) {
      if (!is_immediate && is_negative != (offset.r64.smax < 0)) return Unsafe::kBounds;
      info.mask_to_left = op == BPF_ADD ? is_negative : !is_negative;
    }
    u32 limit;
    if (Unsafe reason = pointer_limit(pointer, info.mask_to_left, limit); reason != Unsafe::kNo) return reason;
    if (commit) {
      limit = static_cast<u32>(std::abs(static_cast<s32>(info.alu_limit - limit)));
      Unsafe reason = update_sanitation(aux_[insn_], info.alu_state, limit);
      if (reason != Unsafe::kNo) return reason;
    } else {
      info.alu_state = static_cast<u8>((is_negative ? kAluNegValue : 0) | (is_immediate ? kAluImmediate : 0) |
                                       (pointer_is_dst ? kAluSanitizeSrc : kAluSanitizeDst));
      info.alu_limit = limit;
      // The mask depends on the limits of the scalar: states may not be pruned by it being imprecise.
      if (!is_immediate) explore_alu_limits_ = true;
    }
  }
  if (commit || is_immediate) return Unsafe::kNo;
  // Speculatively the masked offset may be 0: follow that path too.
  Reg saved = dst;
  if (!pointer_is_dst) dst.copy_from(pointer);
  State* branch = push_speculative(nullptr, insn_ + 1, insn_);
  if (!pointer_is_dst && branch) dst = saved;
  return branch ? Unsafe::kNo : Unsafe::kStack;
}

Check Checker::sanitize_bounds(const Insn& insn, const Reg& dst) {
  if (bypass_spec_v1_) return {};
  u32 number = insn.dst_reg;
  if (dst.type == kPtrToStack) {
    s64 off = dst.off + static_cast<s64>(dst.var_off.value);
    if (!dst.var_off.is_const()) {
      return reject(EACCES, "R{} variable stack access prohibited for !root, var_off={} off={}\n", number,
                    dst.var_off.text(), static_cast<s32>(off));
    }
    s32 offset = static_cast<s32>(off);
    if (offset >= 0 || offset < -kMaxStack) {
      return reject(EACCES, "R{} stack pointer arithmetic goes out of range, prohibited for !root; off={}\n", number,
                    offset);
    }
  } else if (dst.type == kPtrToMapValue) {
    if (!check_map_value(number, dst.off, 1, false, By::kHelper)) {
      return reject(EACCES, "R{} pointer arithmetic of map value goes out of range, prohibited for !root\n", number);
    }
  }
  return {};
}

std::unexpected<Errno> Checker::reject_unsafe(const Insn& insn, Unsafe reason) {
  constexpr const char* kWhy = "pointer arithmetic with it prohibited for !root";
  const char* verb = BPF_OP(insn.code) == BPF_ADD ? "add" : "sub";
  u32 dst = insn.dst_reg, src = insn.src_reg;
  switch (reason) {
    case Unsafe::kBounds: return reject(EACCES, "R{} has unknown scalar with mixed signed bounds, {}\n", src, kWhy);
    case Unsafe::kType: return reject(EACCES, "R{} has pointer with unsupported alu operation, {}\n", dst, kWhy);
    case Unsafe::kPaths:
      return reject(EACCES, "R{} tried to {} from different maps, paths or scalars, {}\n", dst, verb, kWhy);
    case Unsafe::kLimit: return reject(EACCES, "R{} tried to {} beyond pointer bounds, {}\n", dst, verb, kWhy);
    default: return reject(EACCES, "R{} could not be pushed for speculative verification, {}\n", dst, kWhy);
  }
}

}  // namespace bpfemu

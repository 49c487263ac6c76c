// SPDX-License-Identifier: Apache-2.0
// Conditional jumps: which way they go, and what is known on each (kernel: check_cond_jmp_op).
#include <algorithm>

#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

constexpr u64 kMaxPacketOffset = 0xffff;

bool is_jmp32(const Insn& insn) {
  return BPF_CLASS(insn.code) == BPF_JMP32;
}
bool has_src(const Insn& insn) {
  return BPF_SRC(insn.code) == BPF_X;
}

// A packet pointer that was compared with the packet's end before.
Branch packet_branch_taken(const Reg& dst, const Reg& src, u8 op) {
  const Reg* packet = &dst;
  if (dst.type == kPtrToPacketEnd && src.type != kPtrToPacketEnd) {
    packet = &src;
    op = swap_operands(op);
  } else if (src.type != kPtrToPacketEnd) {
    return Branch::kUnknown;
  }
  if (packet->range() >= 0) return Branch::kUnknown;
  bool beyond = packet->range() == kBeyondPacketEnd;
  switch (op) {
    case BPF_JLE:
    case BPF_JGT:
      if (!beyond) return Branch::kUnknown;
      return op == BPF_JGT ? Branch::kTaken : Branch::kFallthrough;
    case BPF_JLT: return Branch::kFallthrough;
    case BPF_JGE: return Branch::kTaken;
    default: return Branch::kUnknown;
  }
}

// `pointer` plus its offset is inside the packet: so are all pointers with the same variable part up to there.
void widen_packet_range(State& state, const Reg& pointer, bool exclusive) {
  if (pointer.off < 0 || (pointer.off == 0 && exclusive)) return;
  if (pointer.r64.umax > kMaxPacketOffset || pointer.r64.umax + static_cast<u64>(s64{pointer.off}) > kMaxPacketOffset) {
    return;
  }
  s32 range = pointer.off + exclusive;
  RegType type = pointer.type;
  u32 id = pointer.id;
  state.for_each_reg([&](Reg& reg) {
    if (reg.type == type && reg.id == id) reg.detail = static_cast<u32>(std::max(reg.range(), range));
  });
}

void mark_packet_end(State& state, u32 number, bool beyond) {
  Reg& reg = state.reg(number);
  if (reg.type == kPtrToPacket) reg.detail = static_cast<u32>(beyond ? kBeyondPacketEnd : kAtPacketEnd);
}

}  // namespace

void Checker::mark_not_null(Reg& reg) {
  if (base_type(reg.type) != kPtrToMapValue) {
    reg.type &= ~kMaybeNull;
    return;
  }
  const MapObject& map = *reg.map();
  if (map.inner_template) {
    reg.type = kConstPtrToMap;
    reg.point_to_map(map.inner_template.get());
    // Tells inner maps apart, so that a timer is set up with the map that it is in.
    if (map.inner_template->timer_offset) reg.detail = reg.id;
  } else if (map.map().type == BPF_MAP_TYPE_XSKMAP) {
    reg.type = kPtrToXdpSock;
  } else if (has_trait(map.map(), kSockets)) {
    reg.type = kPtrToSocket;
  } else {
    reg.type = kPtrToMapValue;
  }
}

// A pointer was compared with NULL: settles it and all its copies.
void Checker::mark_null_check(State& state, u32 number, bool is_null) {
  u32 id = state.reg(number).id, ref = state.reg(number).ref_obj_id;
  // The reference was never acquired.
  if (ref && ref == id && is_null) state.frame().release(id);
  state.for_each_reg([&](Reg& reg) {
    if (!reg.may_be_null() || reg.id != id || !reg.id) return;
    if (reg.r64.smin || reg.r64.smax || !reg.var_off.equals(0) || reg.off) return;
    if (is_null) {
      reg.type = kScalar;
      reg.id = 0;
      reg.ref_obj_id = 0;
      return;
    }
    mark_not_null(reg);
    // Lock and unlock are matched by id.
    bool may_lock = reg.type == kPtrToMapValue && reg.map()->spin_lock_offset;
    if (!may_lock) reg.id = 0;
  });
}

void Checker::copy_to_equal_scalars(State& state, const Reg& known) {
  Reg value = known;
  state.for_each_reg([&](Reg& reg) {
    if (!reg.is_scalar() || reg.id != value.id) return;
    s32 subreg_def = reg.subreg_def;
    reg.copy_from(value);
    reg.subreg_def = subreg_def;
  });
}

// All comparisons as "packet op end": `end > packet` is `packet < end`.
bool Checker::match_packet_pointers(const Insn& insn, State& taken) {
  if (!has_src(insn) || is_jmp32(insn)) return false;
  auto is_fresh = [](const Reg& r) { return r.type == kPtrToPacket && !r.id && !r.off && r.var_off.equals(0); };
  auto is_pair = [&](const Reg& packet, const Reg& end) {
    return (packet.type == kPtrToPacket && end.type == kPtrToPacketEnd) ||
           (packet.type == kPtrToPacketMeta && is_fresh(end));
  };
  u8 op = BPF_OP(insn.code);
  u32 number = insn.dst_reg;
  if (op != BPF_JGT && op != BPF_JGE && op != BPF_JLT && op != BPF_JLE) return false;
  if (!is_pair(reg(insn.dst_reg), reg(insn.src_reg))) {
    if (!is_pair(reg(insn.src_reg), reg(insn.dst_reg))) return false;
    op = swap_operands(op);
    number = insn.src_reg;
  }
  // Strictly below the end: one more byte is inside.
  bool strict = op == BPF_JLT || op == BPF_JGE;
  State& inside = op == BPF_JGT || op == BPF_JGE ? cur_ : taken;
  State& outside = &inside == &cur_ ? taken : cur_;
  widen_packet_range(inside, reg(number), strict);
  mark_packet_end(outside, number, !strict);
  return true;
}

Branch Checker::predict(const Insn& insn) const {
  u8 op = BPF_OP(insn.code);
  bool jmp32 = is_jmp32(insn);
  const Reg& dst = reg(insn.dst_reg);
  if (!has_src(insn)) return branch_taken(dst, static_cast<u64>(s64{insn.imm}), op, jmp32);
  const Reg& src = reg(insn.src_reg);
  Tnum value = jmp32 ? src.var_off.low() : src.var_off;
  if (src.is_scalar() && value.is_const()) return branch_taken(dst, value.value, op, jmp32);
  if (dst.is_packet_or_end() && src.is_packet_or_end() && !jmp32) return packet_branch_taken(dst, src, op);
  return Branch::kUnknown;
}

Check Checker::follow_prediction(const Insn& insn, bool taken) {
  // A mispredicting CPU goes the other way.
  u32 other = taken ? insn_ + 1 : insn_ + 1 + static_cast<u32>(s32{insn.off});
  if (!bypass_spec_v1_ && !push_speculative(&insn, other, insn_)) return fail(EFAULT);
  if (log_.level() & VerifierLog::kLevels) print_state_after_insn();
  if (taken) insn_ += static_cast<u32>(s32{insn.off});
  return {};
}

void Checker::narrow_scalars(const Insn& insn, State& taken) {
  u8 op = BPF_OP(insn.code);
  bool jmp32 = is_jmp32(insn);
  Reg& dst = reg(insn.dst_reg);
  Reg& dst_taken = taken.reg(insn.dst_reg);
  auto is_known = [jmp32](const Reg& r) { return r.var_off.is_const() || (jmp32 && r.var_off.low_is_const()); };
  auto low = [](const Reg& r) { return static_cast<u32>(r.var_off.value); };
  if (!has_src(insn)) {
    if (dst.is_scalar()) {
      narrow_by_constant(dst_taken, dst, static_cast<u64>(s64{insn.imm}), static_cast<u32>(insn.imm), op, jmp32);
    }
  } else if (Reg& src = reg(insn.src_reg); dst.is_scalar() && src.is_scalar()) {
    Reg& src_taken = taken.reg(insn.src_reg);
    if (is_known(src)) {
      narrow_by_constant(dst_taken, dst, src.var_off.value, low(src), op, jmp32);
    } else if (is_known(dst)) {
      narrow_by_constant(src_taken, src, dst.var_off.value, low(dst), swap_operands(op), jmp32);
    } else if (!jmp32 && op == BPF_JEQ) {
      narrow_by_equality(src_taken, dst_taken);
    } else if (!jmp32 && op == BPF_JNE) {
      narrow_by_equality(src, dst);
    }
    if (src.id && src.id == src_taken.id) {
      copy_to_equal_scalars(cur_, src);
      copy_to_equal_scalars(taken, src_taken);
    }
  }
  if (dst.is_scalar() && dst.id && dst.id == dst_taken.id) {
    copy_to_equal_scalars(cur_, dst);
    copy_to_equal_scalars(taken, dst_taken);
  }
}

Check Checker::check_branch(const Insn& insn) {
  u8 op = BPF_OP(insn.code);
  if (op == BPF_JA || op > BPF_JSLE) return reject(EINVAL, "invalid BPF_JMP/JMP32 opcode {:x}\n", op);
  TRY(use_reg(insn.dst_reg, Use::kRead));
  if (has_src(insn)) {
    if (insn.imm != 0) return reject(EINVAL, "BPF_JMP/JMP32 uses reserved fields\n");
    TRY(use_reg(insn.src_reg, Use::kRead));
    const Reg& src = reg(insn.src_reg);
    if (!(reg(insn.dst_reg).is_packet_or_end() && src.is_packet_or_end()) && is_pointer_leak(src)) {
      return reject(EACCES, "R{} pointer comparison prohibited\n", u32{insn.src_reg});
    }
  } else if (insn.src_reg != BPF_REG_0) {
    return reject(EINVAL, "BPF_JMP/JMP32 uses reserved fields\n");
  }

  Branch way = predict(insn);
  if (way != Branch::kUnknown) {
    if (reg(insn.dst_reg).is_scalar()) TRY(mark_precise(insn.dst_reg));
    if (has_src(insn) && reg(insn.src_reg).is_scalar()) TRY(mark_precise(insn.src_reg));
    return follow_prediction(insn, way == Branch::kTaken);
  }
  State* taken = push_state(insn_ + 1 + static_cast<u32>(s32{insn.off}), static_cast<s32>(insn_), false);
  if (!taken) return fail(EFAULT);
  narrow_scalars(insn, *taken);
  bool null_check = !is_jmp32(insn) && !has_src(insn) && insn.imm == 0 && (op == BPF_JEQ || op == BPF_JNE);
  if (null_check && reg(insn.dst_reg).may_be_null()) {
    mark_null_check(cur_, insn.dst_reg, op == BPF_JNE);
    mark_null_check(*taken, insn.dst_reg, op == BPF_JEQ);
  } else if (!match_packet_pointers(insn, *taken) && is_pointer_leak(reg(insn.dst_reg))) {
    return reject(EACCES, "R{} pointer comparison prohibited\n", u32{insn.dst_reg});
  }
  if (log_.level() & VerifierLog::kLevels) print_state_after_insn();
  return {};
}

}  // namespace bpfemu

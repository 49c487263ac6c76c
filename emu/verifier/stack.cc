// SPDX-License-Identifier: Apache-2.0
// The stack of each frame, slot by slot: spilled registers, bytes written, zeroes (kernel: check_stack_read,
// check_stack_write).
#include <bit>

#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

bool is_spillable(RegType type) {
  switch (base_type(type)) {
    case kNotInit:
    case kScalar:
    case kPtrToTpBuffer:
    case kPtrToDynptr: return false;
    default: return true;
  }
}

bool stores_constant(const Insn& insn) {
  return BPF_CLASS(insn.code) == BPF_ST && BPF_MODE(insn.code) == BPF_MEM;
}

// The byte of a slot that lies at frame pointer + offset.
constexpr u32 byte_of(s32 offset) {
  return static_cast<u32>(-offset - 1) % kSlotSize;
}

}  // namespace

void Checker::grow_stack(Frame& frame, s32 bytes) {
  if (frame.allocated() >= bytes) return;
  frame.stack.resize(static_cast<size_t>(bytes) / kSlotSize, [] {
    StackSlot empty;
    empty.spilled.var_off = Tnum::constant(0);
    empty.spilled.r64 = Range64::constant(0);
    empty.spilled.r32 = Range32::constant(0);
    return empty;
  }());
  u16& depth = subprogs_[frame.subprog].stack_depth;
  if (depth < bytes) depth = static_cast<u16>(bytes);
}

Check Checker::check_stack_bounds(u32 number, s32 off, s32 size, By by, Access access) {
  const Reg& pointer = reg(number);
  Frame& frame = frame_of(pointer);
  const char* what = by == By::kHelper ? " indirect access to" : access == Access::kRead ? " read from" : " write to";
  bool fixed = pointer.var_off.is_const();
  s64 min, max;
  if (fixed) {
    min = static_cast<s64>(pointer.var_off.value) + off;
    max = min + size;
  } else {
    if (pointer.r64.smax >= kMaxVarOffset || pointer.r64.smin <= -kMaxVarOffset) {
      return reject(EACCES, "invalid unbounded variable-offset{} stack R{}\n", what, number);
    }
    min = pointer.r64.smin + off;
    max = pointer.r64.smax + off + size;
  }
  // What was never written is readable only for those who may see what lay there before.
  s32 lowest = access == Access::kWrite || allow_uninit_stack_ ? -kMaxStack : -frame.allocated();
  int error = min < lowest || min > -1 ? EACCES : max > 0 ? EINVAL : size < 0 ? EFAULT : 0;
  if (error && fixed) return reject(error, "invalid{} stack R{} off={} size={}\n", what, number, off, size);
  if (error) {
    return reject(error, "invalid variable-offset{} stack R{} var_off={} size={}\n", what, number,
                  pointer.var_off.text(), size);
  }
  grow_stack(frame, static_cast<s32>(round_up(static_cast<u64>(-min), kSlotSize)));
  return {};
}

void Checker::spill(Frame& frame, s32 number, const Reg& value, u32 size) {
  StackSlot& slot = frame.stack[number];
  slot.spilled.copy_from(value);
  if (size == kSlotSize) slot.spilled.live |= kWritten;
  for (u32 byte = 0; byte < kSlotSize; ++byte) {
    if (byte >= kSlotSize - size) {
      slot.bytes[byte] = Slot::kSpill;
    } else {
      slot.scrub(byte);
    }
  }
}

Check Checker::write_stack_fixed(Frame& frame, s32 off, s32 size, s32 value_reg, u32 index) {
  s32 number = slot_of(off);
  StackSlot& slot = frame.stack[number];
  const Insn& insn = insns_[index];
  const u32 bytes = static_cast<u32>(size);
  if (!allow_ptr_leaks_ && slot.is_spilled() && bytes != kSlotSize) {
    return reject(EACCES, "attempt to corrupt spilled pointer on stack\n");
  }
  Reg* value = value_reg >= 0 ? &reg(static_cast<u32>(value_reg)) : nullptr;
  bool pointer = value && is_spillable(value->type);
  if (!bypass_spec_v4_) {
    // The store could be bypassed speculatively: what lay there must not be taken for a pointer.
    bool sanitize = pointer;
    for (s32 i = 0; i < size && !sanitize; ++i) {
      Slot kind = slot.bytes[byte_of(off + i)];
      sanitize = kind != Slot::kMisc && kind != Slot::kZero;
    }
    if (sanitize) aux_[index].sanitize_stack_spill = true;
  }
  touch_slot(number);
  bool aligned = off % static_cast<s32>(kSlotSize) == 0;
  if (value && aligned && value->is_bounded_scalar() && !value->is_null() && capable_) {
    // Backtracking only follows the frame pointer itself.
    if (insn.dst_reg != kFrameReg) TRY(mark_precise(value_reg));
    spill(frame, number, *value, bytes);
    // Cut off by the store: no longer equal to the register.
    if (static_cast<s32>(std::bit_width(value->r64.umax)) > 8 * size) slot.spilled.id = 0;
  } else if (!value && aligned && stores_constant(insn) && insn.imm != 0 && capable_) {
    Reg constant;
    constant.type = kScalar;
    set_known(constant, static_cast<u64>(s64{insn.imm}));
    spill(frame, number, constant, bytes);
  } else if (pointer) {
    if (bytes != kSlotSize) {
      print_line(index, "; ");
      return reject(EACCES, "invalid size of register spill\n");
    }
    if (&frame != &cur_.frame() && value->type == kPtrToStack) {
      return reject(EINVAL, "cannot spill pointers to stack into stack frame of the caller\n");
    }
    spill(frame, number, *value, bytes);
  } else {
    slot.spilled.type = kNotInit;
    if (slot.is_spilled()) slot.scrub_all();
    if (bytes == kSlotSize) slot.spilled.live |= kWritten;
    Slot kind = Slot::kMisc;
    if (value ? value->is_null() : stores_constant(insn) && insn.imm == 0) {
      TRY(mark_precise(value_reg));
      kind = Slot::kZero;
    }
    for (s32 i = 0; i < size; ++i) slot.bytes[byte_of(off + i)] = kind;
  }
  return {};
}

Check Checker::write_stack_variable(Frame& frame, u32 pointer_reg, s32 off, s32 size, s32 value_reg, u32 index) {
  const Reg& pointer = reg(pointer_reg);
  s32 min = static_cast<s32>(pointer.r64.smin) + off, max = static_cast<s32>(pointer.r64.smax) + off + size;
  bool zero = value_reg >= 0 && reg(static_cast<u32>(value_reg)).is_null(), zero_used = false;
  for (s32 i = min; i < max; ++i) {
    StackSlot& slot = frame.stack[slot_of(i)];
    Slot& byte = slot.bytes[byte_of(i)];
    touch_slot(slot_of(i));
    if (!allow_ptr_leaks_ && byte != Slot::kMisc && byte != Slot::kZero) {
      return reject(EINVAL, "spilled ptr in range of var-offset stack write; insn {}, ptr off: {}", index, i);
    }
    slot.spilled.type = kNotInit;
    bool stays_zero = zero && byte == Slot::kZero;
    zero_used |= stays_zero;
    if (byte == Slot::kInvalid && !allow_uninit_stack_) {
      return reject(EINVAL, "uninit stack in range of var-offset write prohibited for !root; insn {}, off: {}", index,
                    i);
    }
    byte = stays_zero ? Slot::kZero : Slot::kMisc;
  }
  if (zero_used) return mark_precise(value_reg);
  return {};
}

Check Checker::check_stack_write(u32 number, s32 off, s32 size, s32 value_reg, u32 insn) {
  const Reg& pointer = reg(number);
  Frame& frame = frame_of(pointer);
  if (!pointer.var_off.is_const()) return write_stack_variable(frame, number, off, size, value_reg, insn);
  return write_stack_fixed(frame, off + static_cast<s32>(pointer.var_off.value), size, value_reg, insn);
}

// Bytes that are no whole spilled register: 0 when all are known to be 0.
void Checker::read_stack_bytes(const Frame& frame, s32 min, s32 max, u32 value_reg) {
  bool zero = true;
  for (s32 i = min; i < max && zero; ++i) zero = frame.stack[slot_of(i)].bytes[byte_of(i)] == Slot::kZero;
  Reg& value = reg(value_reg);
  if (zero) {
    set_known(value, 0);
    value.type = kScalar;
    value.precise = true;
  } else {
    mark_unknown(value);
  }
  value.live |= kWritten;
}

Check Checker::read_stack_fixed(Frame& frame, s32 off, s32 size, s32 value_reg) {
  s32 number = slot_of(off);
  StackSlot& slot = frame.stack[number];
  Reg& spilled = slot.spilled;
  auto check_bytes = [&](Slot also_fine) -> Check {
    for (s32 i = 0; i < size; ++i) {
      Slot kind = slot.bytes[byte_of(off + i)];
      if (kind == Slot::kMisc || kind == also_fine || (kind == Slot::kInvalid && allow_uninit_stack_)) continue;
      return reject(EACCES, "invalid read from stack off {}+{} size {}\n", off, i, size);
    }
    return {};
  };
  if (!slot.is_spilled()) {
    TRY(check_bytes(Slot::kZero));
    TRY(mark_read(spilled));
    if (value_reg >= 0) read_stack_bytes(frame, off, off + size, static_cast<u32>(value_reg));
    return {};
  }
  s32 spill_size = 1;
  while (spill_size < static_cast<s32>(kSlotSize) && slot.bytes[kSlotSize - 1 - spill_size] == Slot::kSpill) {
    ++spill_size;
  }
  constexpr s32 kWhole = kSlotSize;
  if (size != kWhole || spill_size != kWhole) {
    if (!spilled.is_scalar()) {
      print_line(insn_, "; ");
      return reject(EACCES, "invalid size of register fill\n");
    }
    TRY(mark_read(spilled));
    if (value_reg < 0) return {};
    Reg& value = reg(static_cast<u32>(value_reg));
    if (off % kWhole == 0 && size == spill_size) {
      s32 subreg_def = value.subreg_def;
      value.copy_from(spilled);
      value.subreg_def = subreg_def;
    } else {
      TRY(check_bytes(Slot::kSpill));
      mark_unknown(value);
    }
    value.live |= kWritten;
    return {};
  }
  if (value_reg >= 0) {
    Reg& value = reg(static_cast<u32>(value_reg));
    value.copy_from(spilled);
    value.live |= kWritten;
  } else if (is_pointer_leak(spilled)) {
    return reject(EACCES, "leaking pointer from stack off {}\n", off);
  }
  return mark_read(spilled);
}

Check Checker::check_stack_read(u32 number, s32 off, s32 size, s32 value_reg) {
  const Reg& pointer = reg(number);
  Frame& frame = frame_of(pointer);
  if (pointer.var_off.is_const()) {
    return read_stack_fixed(frame, off + static_cast<s32>(pointer.var_off.value), size, value_reg);
  }
  if (value_reg < 0) {
    return reject(EACCES,
                  "variable offset stack pointer cannot be passed into helper function; var_off={} off={} size={}\n",
                  pointer.var_off.text(), off, size);
  }
  TRY(check_stack_initialized(number, off, size, false, By::kProgram, nullptr));
  s32 min = static_cast<s32>(pointer.r64.smin) + off, max = static_cast<s32>(pointer.r64.smax) + off;
  read_stack_bytes(frame, min, max + size, static_cast<u32>(value_reg));
  return {};
}

// Stack memory that is read without its slots being followed: by helpers, or at a variable offset.
Check Checker::check_stack_initialized(u32 number, s32 off, s32 size, bool zero_ok, By by, CallMeta* meta) {
  const Reg& pointer = reg(number);
  Frame& frame = frame_of(pointer);
  const char* what = by == By::kHelper ? " indirect" : "";
  // A helper may write as well as read, so that nothing is known of the memory afterwards.
  bool clobber = by == By::kHelper;
  if (size == 0 && !zero_ok) return reject(EACCES, "invalid zero-sized read\n");
  TRY(check_stack_bounds(number, off, size, by, clobber ? Access::kWrite : Access::kRead));
  bool fixed = pointer.var_off.is_const();
  s32 min, max;
  if (fixed) {
    min = max = static_cast<s32>(pointer.var_off.value) + off;
  } else {
    if (!bypass_spec_v1_) {
      return reject(EACCES, "R{}{} variable offset stack access prohibited for !root, var_off={}\n", number, what,
                    pointer.var_off.text());
    }
    // Memory to be filled must be where it is known to be; otherwise it must be initialized.
    if (meta && meta->raw_mode) meta = nullptr;
    min = static_cast<s32>(pointer.r64.smin) + off;
    max = static_cast<s32>(pointer.r64.smax) + off;
  }
  if (meta && meta->raw_mode) {
    meta->raw_size = size;
    meta->raw_reg = number;
    return {};
  }
  for (s32 i = min; i < max + size; ++i) {
    if (frame.allocated() <= -i - 1) return reject(EFAULT, "verifier bug: allocated_stack too small");
    StackSlot& slot = frame.stack[slot_of(i)];
    Slot& byte = slot.bytes[byte_of(i)];
    if (byte == Slot::kMisc) {
    } else if (byte == Slot::kZero || (byte == Slot::kInvalid && allow_uninit_stack_)) {
      if (clobber) byte = Slot::kMisc;
    } else if (slot.is_spilled() && (slot.spilled.is_scalar() || allow_ptr_leaks_)) {
      if (clobber) {
        mark_unknown(slot.spilled);
        slot.scrub_all();
      }
    } else if (fixed) {
      return reject(EACCES, "invalid{} read from stack R{} off {}+{} size {}\n", what, number, min, i - min, size);
    } else {
      return reject(EACCES, "invalid{} read from stack R{} var_off {}+{} size {}\n", what, number,
                    pointer.var_off.text(), i - min, size);
    }
    TRY(mark_read(slot.spilled));
  }
  return {};
}

}  // namespace bpfemu

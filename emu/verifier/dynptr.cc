// SPDX-License-Identifier: Apache-2.0
// Dynptrs: two stack slots that only helpers touch (kernel: mark_stack_slots_dynptr and its neighbours).
#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

constexpr s32 kDynptrSlots = 2;
// Values of enum bpf_dynptr_type, which is the kernel's own.
constexpr u8 kLocal = 1, kRingbuf = 2;

u8 kind_of(ArgType type) {
  switch (type & kDynptrFlags) {
    case kDynptrLocal: return kLocal;
    case kDynptrRingbuf: return kRingbuf;
    default: return 0;
  }
}

// The slot that a dynptr starts in; its second half is the slot above. -1: outside of the stack.
s32 first_slot(const Frame& frame, const Reg& reg) {
  s32 slot = slot_of(reg.off);
  return slot - kDynptrSlots + 1 >= 0 && slot < static_cast<s32>(frame.stack.size()) ? slot : -1;
}

}  // namespace

bool Checker::overlaps_dynptr(const Reg& reg) const {
  const Frame& frame = frame_of(reg);
  s32 slot = first_slot(frame, reg);
  if (slot < 0) return false;
  for (s32 half = slot; half > slot - kDynptrSlots; --half) {
    for (Slot byte : frame.stack[half].bytes) {
      if (byte == Slot::kDynptr) return true;
    }
  }
  return false;
}

bool Checker::is_dynptr_initialized(const Reg& reg) const {
  const Frame& frame = frame_of(reg);
  s32 slot = first_slot(frame, reg);
  if (slot < 0 || !frame.stack[slot].spilled.dynptr_first) return false;
  for (s32 half = slot; half > slot - kDynptrSlots; --half) {
    for (Slot byte : frame.stack[half].bytes) {
      if (byte != Slot::kDynptr) return false;
    }
  }
  return true;
}

bool Checker::is_dynptr_of_type(const Reg& reg, ArgType type) const {
  if (type == kArgPtrToDynptr) return true;
  return frame_of(reg).stack[slot_of(reg.off)].spilled.dynptr_type == kind_of(type);
}

Check Checker::mark_dynptr(const Reg& reg, ArgType type, u32 insn) {
  Frame& frame = frame_of(reg);
  s32 slot = first_slot(frame, reg);
  u8 kind = kind_of(type);
  if (slot < 0 || !kind) return fail(EINVAL);
  u32 id = kind == kRingbuf ? acquire_reference(insn) : 0;
  for (s32 half = slot; half > slot - kDynptrSlots; --half) {
    StackSlot& s = frame.stack[half];
    s.bytes.fill(Slot::kDynptr);
    s.spilled.dynptr_type = kind;
    if (id) s.spilled.id = id;
  }
  frame.stack[slot].spilled.dynptr_first = true;
  return {};
}

Check Checker::unmark_dynptr(const Reg& reg) {
  Frame& frame = frame_of(reg);
  s32 slot = first_slot(frame, reg);
  if (slot < 0) return fail(EINVAL);
  bool referenced = frame.stack[slot].spilled.dynptr_type == kRingbuf;
  // Slices of it die with it.
  if (referenced) (void)release_reference(frame.stack[slot].spilled.id);
  for (s32 half = slot; half > slot - kDynptrSlots; --half) {
    StackSlot& s = frame.stack[half];
    s.bytes.fill(Slot::kInvalid);
    s.spilled.dynptr_type = 0;
    s.spilled.dynptr_first = false;
    if (referenced) s.spilled.id = 0;
  }
  return {};
}

Check Checker::check_dynptr_arg(u32 index, ArgType type, CallMeta& meta) {
  u32 number = BPF_REG_1 + index;
  const Reg& r = reg(number);
  // The argument of a callback, made by the helper that calls it.
  if (base_type(r.type) == kPtrToDynptr) return {};
  if (type & kUninit) {
    if (overlaps_dynptr(r)) return reject(EINVAL, "Dynptr has to be an uninitialized dynptr\n");
    if (meta.uninit_dynptr_reg) {
      return reject(EFAULT, "verifier internal error: multiple uninitialized dynptr args\n");
    }
    meta.uninit_dynptr_reg = number;
    return {};
  }
  if (!is_dynptr_initialized(r)) {
    return reject(EINVAL, "Expected an initialized dynptr as arg #{}\n", index + 1);
  }
  if (!is_dynptr_of_type(r, type)) {
    u8 kind = kind_of(type);
    const char* name = kind == kLocal ? "local" : kind == kRingbuf ? "ringbuf" : "<unknown>";
    return reject(EINVAL, "Expected a dynptr of type {} as arg #{}\n", name, index + 1);
  }
  return {};
}

}  // namespace bpfemu

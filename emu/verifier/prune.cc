// SPDX-License-Identifier: Apache-2.0
// Pruning: states are kept at jump targets; a path that reaches one with nothing more dangerous than an explored state
// had there is not followed again (kernel: is_state_visited, states_equal).
#include <algorithm>

#include "emu/verifier/checker.h"

namespace bpfemu {

Explored** Checker::explored_at(u32 insn) {
  u32 bucket = (insn ^ static_cast<u32>(cur_.frame().callsite)) % insn_count();
  return &explored_[bucket];
}

// Forgets what nobody will read in states that are fully explored, so that more paths compare equal.
void Checker::clean_explored(u32 insn) {
  auto same_calls = [this](const State& state) {
    if (state.depth != cur_.depth) return false;
    for (u32 i = 0; i <= cur_.depth; ++i) {
      if (state.frames[i]->callsite != cur_.frames[i]->callsite) return false;
    }
    return true;
  };
  auto clean = [this](Reg& reg) {
    bool unread = !(reg.live & kRead);
    reg.live |= kDone;
    if (unread) mark_not_init(reg);
    return unread;
  };
  for (Explored* e = *explored_at(insn); e; e = e->next) {
    State& state = e->state;
    if (state.branches || state.insn != insn || !same_calls(state)) continue;
    if (state.frames[0]->regs[0].live & kDone) continue;
    for (u32 i = 0; i <= state.depth; ++i) {
      Frame& frame = *state.frames[i];
      for (u32 r = 0; r < kFrameReg; ++r) clean(frame.regs[r]);
      for (StackSlot& slot : frame.stack) {
        if (clean(slot.spilled)) slot.bytes.fill(Slot::kInvalid);
      }
    }
  }
}

// Ids differ from path to path; equal states map each old id to one new one.
bool Checker::same_ids(u32 old, u32 now) {
  for (auto [from, to] : id_map_) {
    if (from == old) return to == now;
  }
  id_map_.emplace_back(old, now);
  return true;
}

// Is everything that was safe with `old` safe with `now`?
bool Checker::regs_safe(const Reg& old, const Reg& now) {
  if (!(old.live & kRead)) return true;
  bool equal = old.same_value(now);
  if (old.type == kPtrToStack) return equal && old.frame == now.frame;
  if (equal || old.type == kNotInit) return true;
  if (now.type == kNotInit) return false;
  auto values_within = [&] { return old.range_contains(now) && old.var_off.contains(now.var_off); };
  switch (base_type(old.type)) {
    case kScalar:
      if (explore_alu_limits_ || now.type != kScalar) return false;
      return !old.precise || values_within();
    case kPtrToMapKey:
    case kPtrToMapValue:
      if (old.may_be_null()) return now.may_be_null() && old.same_target(now) && same_ids(old.id, now.id);
      return old.same_target(now) && values_within();
    case kPtrToPacketMeta:
    case kPtrToPacket: {
      if (now.type != old.type) return false;
      bool end_marks = old.range() < 0 || now.range() < 0;
      if (end_marks ? old.range() != now.range() : old.range() > now.range()) return false;
      if (old.off != now.off) return false;
      if (old.id && !same_ids(old.id, now.id)) return false;
      return values_within();
    }
    default: return false;  // pointers of the other types must be equal
  }
}

bool Checker::stacks_safe(const Frame& old, const Frame& now) {
  for (size_t i = 0; i < old.stack.size(); ++i) {
    const StackSlot& was = old.stack[i];
    if (!(was.spilled.live & kRead)) continue;
    for (u32 byte = 0; byte < kSlotSize; ++byte) {
      Slot kind = was.bytes[byte];
      if (kind == Slot::kInvalid || (allow_uninit_stack_ && kind == Slot::kMisc)) continue;
      if (i >= now.stack.size()) return false;
      const StackSlot& is = now.stack[i];
      if (kind == Slot::kMisc && is.bytes[byte] == Slot::kZero) continue;
      if (kind != is.bytes[byte]) return false;
      if (byte == kSlotSize - 1 && was.is_spilled() && !regs_safe(was.spilled, is.spilled)) return false;
    }
  }
  return true;
}

bool Checker::frames_equal(const Frame& old, const Frame& now) {
  id_map_.clear();
  for (u32 i = 0; i < kRegs; ++i) {
    if (!regs_safe(old.regs[i], now.regs[i])) return false;
  }
  return stacks_safe(old, now) && old.refs == now.refs;
}

bool Checker::states_equal(const State& old, const State& now) {
  if (old.depth != now.depth || (old.speculative && !now.speculative) || old.active_lock != now.active_lock)
    return false;
  for (u32 i = 0; i <= old.depth; ++i) {
    if (old.frames[i]->callsite != now.frames[i]->callsite || !frames_equal(*old.frames[i], *now.frames[i]))
      return false;
  }
  return true;
}

// A state that is still being explored was reached again: a loop, endless if nothing changed.
Check Checker::check_not_looping(const Explored& candidate) {
  const State& old = candidate.state;
  const Frame& old_frame = old.frame();
  const Frame& now = cur_.frame();
  bool other_async_entry = old_frame.in_async_callback && old_frame.async_entries != now.async_entries;
  if (other_async_entry || old.depth != cur_.depth) return {};
  for (u32 i = 0; i < kRegs; ++i) {
    if (!old_frame.regs[i].same_value(now.regs[i])) return {};
  }
  if (!states_equal(old, cur_)) return {};
  print_line(insn_, "; ");
  return reject(EINVAL, "infinite loop detected at insn {}\n", insn_);
}

Result<bool> Checker::already_explored() {
  cur_.last_insn = prev_insn_;
  if (!aux_[insn_].prune_point) {
    remember_jump();
    return false;
  }
  // Do not keep a state at every jump: short stretches cost less than comparing.
  u32 jumps = jumps_processed_ - jumps_at_last_state_, insns = insns_processed_ - insns_at_last_state_;
  bool add_state = test_state_freq_ || (jumps >= 2 && insns >= 8);
  u32 candidates = 0;
  clean_explored(insn_);
  for (Explored** link = explored_at(insn_); *link;) {
    Explored* e = *link;
    ++candidates;
    if (e->state.insn != insn_) {
      link = &e->next;
      continue;
    }
    if (e->state.branches) {
      TRY(check_not_looping(*e));
      // Short loops are left to unroll for a while.
      if (jumps < 20 && insns < 100) add_state = false;
    } else if (states_equal(e->state, cur_)) {
      ++e->hits;
      TRY(propagate_liveness(e->state, cur_));
      remember_jump();
      TRY(propagate_precision(e->state));
      return true;
    }
    if (add_state) ++e->misses;
    if (e->misses > e->hits * 3 + 3) {
      // Comparing with this one did not pay off.
      *link = e->next;
      if (e->state.frames[0]->regs[0].live & kDone) {
        pool_.give_back(e);
        --peak_states_;
      } else {
        retired_.push_back(e);
      }
      continue;
    }
    link = &e->next;
  }
  max_states_per_insn_ = std::max(max_states_per_insn_, candidates);
  if ((!capable_ && candidates > kStatesLimit) || !add_state) {
    remember_jump();
    return false;
  }
  keep_state();
  return false;
}

// Keeps the present state, which becomes the parent of what follows.
void Checker::keep_state() {
  ++total_states_;
  ++peak_states_;
  jumps_at_last_state_ = jumps_processed_;
  insns_at_last_state_ = insns_processed_;
  if (capable_) {
    // Precision is found out anew from here on; imprecise states compare equal more often.
    for (u32 i = 0; i <= cur_.depth; ++i) {
      Frame& frame = *cur_.frames[i];
      for (u32 r = 0; r < kFrameReg; ++r) {
        if (frame.regs[r].is_scalar()) frame.regs[r].precise = false;
      }
      for (StackSlot& slot : frame.stack) {
        if (slot.is_spilled() && slot.spilled.is_scalar()) slot.spilled.precise = false;
      }
    }
  }
  Explored* kept = pool_.take_explored();
  pool_.copy(kept->state, cur_);
  kept->state.insn = insn_;
  Explored** head = explored_at(insn_);
  kept->next = *head;
  *head = kept;

  cur_.parent = &kept->state;
  cur_.first_insn = static_cast<s32>(insn_);
  cur_.jumps.clear();
  for (u32 i = 0; i <= cur_.depth; ++i) {
    Frame& frame = *cur_.frames[i];
    Frame& parent = *kept->state.frames[i];
    for (u32 r = 0; r < kFrameReg; ++r) {
      // R0 to R5 of callers are dead; they keep their old parents.
      if (i == cur_.depth || r >= BPF_REG_6) frame.regs[r].parent = &parent.regs[r];
      frame.regs[r].live = 0;
    }
    for (size_t slot = 0; slot < frame.stack.size(); ++slot) {
      frame.stack[slot].spilled.live = 0;
      frame.stack[slot].spilled.parent = &parent.stack[slot].spilled;
    }
  }
}

}  // namespace bpfemu

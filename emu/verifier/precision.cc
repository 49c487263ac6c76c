// SPDX-License-Identifier: Apache-2.0
// Precision: a scalar's exact value is compared between states only when a verdict came from it. When one does, the
// instructions are walked backwards to find the scalars that it was computed from (kernel: __mark_chain_precision).
#include <bit>

#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

constexpr s32 kNone = -1;

// The index of the instruction before `index` on the path that led to the end of `state`; kNone: its beginning.
s32 previous_insn(const State& state, s32 index, size_t& jumps_left) {
  if (index == state.first_insn) {
    if (jumps_left == 0) return kNone - 1;
    if (jumps_left == 1 && static_cast<s32>(state.jumps[0].index) == index) return kNone - 1;
  }
  if (jumps_left && static_cast<s32>(state.jumps[jumps_left - 1].index) == index) {
    return static_cast<s32>(state.jumps[--jumps_left].previous);
  }
  return index - 1;
}
constexpr s32 kBeginning = kNone - 1;

template <class F>
void for_each_scalar(State& state, F&& f) {
  for (u32 i = 0; i <= state.depth; ++i) {
    Frame& frame = *state.frames[i];
    for (u32 r = 0; r < kFrameReg; ++r) {
      if (frame.regs[r].is_scalar()) f(frame.regs[r]);
    }
    for (StackSlot& slot : frame.stack) {
      if (slot.is_spilled() && slot.spilled.is_scalar()) f(slot.spilled);
    }
  }
}

// The walk went where it cannot follow: be safe.
void mark_all_precise(State& state) {
  for (State* s = state.parent; s; s = s->parent) {
    for_each_scalar(*s, [](Reg& reg) { reg.precise = true; });
  }
}

bool calls_back(u32 helper) {
  return helper == BPF_FUNC_for_each_map_elem || helper == BPF_FUNC_timer_set_callback || helper == BPF_FUNC_find_vma ||
         helper == BPF_FUNC_loop || helper == BPF_FUNC_user_ringbuf_drain;
}

}  // namespace

void Checker::remember_jump() {
  if (aux_[insn_].jmp_point) cur_.jumps.push_back({insn_, static_cast<u32>(prev_insn_)});
}

// One step back: the registers and slots that the wanted ones were computed from. ENOTSUPP: cannot tell.
Check Checker::backtrack(u32 index, u32& regs, u64& slots) {
  const Insn& insn = insns_[index];
  if (insn.code == 0) return {};
  if (log_.level() & VerifierLog::kLevel2) {
    log_.print("regs={:x} stack={:x} before ", regs, slots);
    log_.print("{}: ", index);
    print_insn(index);
  }
  u8 cls = BPF_CLASS(insn.code), op = BPF_OP(insn.code);
  u32 dst = 1u << insn.dst_reg, src = 1u << insn.src_reg;
  bool from_reg = BPF_SRC(insn.code) == BPF_X;
  u32 slot = static_cast<u32>(slot_of(insn.off));

  if (cls == BPF_ALU || cls == BPF_ALU64) {
    if (!(regs & dst) || op == BPF_END || op == BPF_NEG) return {};
    if (op == BPF_MOV) regs &= ~dst;
    if (from_reg) regs |= src;
  } else if (cls == BPF_LDX || is_fetch(insn)) {
    u32 loaded = dst, base = insn.src_reg;
    if (is_fetch(insn)) {
      loaded = insn.imm == BPF_CMPXCHG ? 1u << BPF_REG_0 : src;
      base = insn.dst_reg;
    }
    if (!(regs & loaded)) return {};
    regs &= ~loaded;
    if (base != kFrameReg) return {};
    if (slot >= 64) return reject(EFAULT, "BUG spi {}\n", slot);
    slots |= u64{1} << slot;
  } else if (cls == BPF_STX || cls == BPF_ST) {
    // A scalar that serves as a pointer: pointer arithmetic in between.
    if (regs & dst) return fail(ENOTSUPP);
    if (insn.dst_reg != kFrameReg) return {};
    if (slot >= 64) return reject(EFAULT, "BUG spi {}\n", slot);
    if (!(slots >> slot & 1)) return {};
    slots &= ~(u64{1} << slot);
    if (cls == BPF_STX) regs |= src;
  } else if (cls == BPF_JMP || cls == BPF_JMP32) {
    if (op == BPF_EXIT) return fail(ENOTSUPP);
    if (op == BPF_CALL) {
      if (insn.src_reg == BPF_PSEUDO_CALL) return fail(ENOTSUPP);
      if (insn.src_reg == BPF_PSEUDO_KFUNC_CALL && insn.imm == 0) return fail(ENOTSUPP);
      if (insn.src_reg == 0 && calls_back(static_cast<u32>(insn.imm))) return fail(ENOTSUPP);
      constexpr u32 kResult = 1, kCallerSaved = 0x3f;
      regs &= ~kResult;
      if (regs & kCallerSaved) return reject(EFAULT, "BUG regs {:x}\n", regs);
    } else if (from_reg && regs & (dst | src)) {
      regs |= dst | src;
    }
  } else if (cls == BPF_LD) {
    if (!(regs & dst)) return {};
    regs &= ~dst;
    u8 mode = BPF_MODE(insn.code);
    if (mode == BPF_IND || mode == BPF_ABS) return fail(ENOTSUPP);
  }
  return {};
}

Check Checker::mark_precise(u32 frame_number, s32 reg_number, s32 slot_number) {
  if (!capable_) return {};
  u32 regs = 0;
  u64 slots = 0;
  {
    const Frame& frame = *cur_.frames[frame_number];
    if (reg_number >= 0) {
      if (!frame.regs[reg_number].is_scalar()) return fail(EFAULT);
      regs = 1u << reg_number;
    }
    if (slot_number >= 0) {
      const StackSlot& slot = frame.stack[slot_number];
      if (slot.is_spilled() && slot.spilled.is_scalar()) slots = u64{1} << slot_number;
    }
    if (!regs && !slots) return {};
  }
  State* state = &cur_;
  s32 first = state->first_insn, last = static_cast<s32>(insn_);
  bool skip = true;  // the instruction that asks has not changed anything yet
  for (;;) {
    size_t jumps_left = state->jumps.size();
    if (log_.level() & VerifierLog::kLevel2) log_.print("last_idx {} first_idx {}\n", last, first);
    if (last < 0) {
      // The beginning of a global function that is verified on its own: its scalar arguments are unknown.
      Frame& frame = *state->frames[0];
      constexpr u32 kArguments = 0x3e;
      if (state->depth == 0 && frame.subprog > 0 && frame.callsite == kMainCallsite && !slots &&
          !(regs & ~kArguments)) {
        for (u32 i = 0; i < kFrameReg; ++i) {
          if (regs >> i & 1 && frame.regs[i].is_scalar()) frame.regs[i].precise = true;
        }
        return {};
      }
      return reject(EFAULT, "BUG backtracing func entry subprog {} reg_mask {:x} stack_mask {:x}\n", frame.subprog,
                    regs, slots);
    }
    for (s32 i = last;;) {
      if (skip) {
        skip = false;
      } else if (auto done = backtrack(static_cast<u32>(i), regs, slots); !done) {
        if (done.error().value != ENOTSUPP) return done;
        mark_all_precise(*state);
        return {};
      }
      if (!regs && !slots) return {};
      i = previous_insn(*state, i, jumps_left);
      if (i == kBeginning) break;
      if (static_cast<u32>(i) >= insn_count()) return reject(EFAULT, "BUG backtracking idx {}\n", i);
    }
    state = state->parent;
    if (!state) return {};

    if (frame_number > state->depth) {
      mark_all_precise(*state);
      return {};
    }
    bool new_marks = false;
    Frame& frame = *state->frames[frame_number];
    auto mark = [&](Reg& reg) {
      new_marks |= !reg.precise;
      reg.precise = true;
    };
    for (u32 rest = regs; rest; rest &= rest - 1) {
      u32 i = static_cast<u32>(std::countr_zero(rest));
      if (frame.regs[i].is_scalar()) {
        mark(frame.regs[i]);
      } else {
        regs &= ~(1u << i);
      }
    }
    for (u64 rest = slots; rest; rest &= rest - 1) {
      u32 i = static_cast<u32>(std::countr_zero(rest));
      if (i >= frame.stack.size()) {
        // Spilled by way of another register than the frame pointer.
        mark_all_precise(*state);
        return {};
      }
      if (frame.stack[i].is_spilled() && frame.stack[i].spilled.is_scalar()) {
        mark(frame.stack[i].spilled);
      } else {
        slots &= ~(u64{1} << i);
      }
    }
    if (log_.level() & VerifierLog::kLevel2) {
      log_.print("parent {} regs={:x} stack={:x} marks:", new_marks ? "didn't have" : "already had", regs, slots);
      print_state(frame, true);
    }
    if ((!regs && !slots) || !new_marks) return {};
    last = state->last_insn;
    first = state->first_insn;
  }
}

// A path ends in a state that was explored before: what had to be precise there must be precise here.
Check Checker::propagate_precision(const State& from) {
  bool verbose = log_.level() & VerifierLog::kLevel2;
  auto wanted = [](const Reg& reg) { return reg.is_scalar() && reg.precise && reg.live & kRead; };
  for (u32 frame = from.depth + 1; frame-- > 0;) {
    const Frame& source = *from.frames[frame];
    for (u32 r = 0; r < kFrameReg; ++r) {
      if (!wanted(source.regs[r])) continue;
      if (verbose) log_.print("frame {}: propagating r{}\n", frame, r);
      TRY(mark_precise(frame, static_cast<s32>(r), kNone));
    }
    for (size_t slot = 0; slot < source.stack.size(); ++slot) {
      if (!source.stack[slot].is_spilled() || !wanted(source.stack[slot].spilled)) continue;
      if (verbose) log_.print("frame {}: propagating fp{}\n", frame, -static_cast<s64>(slot + 1) * kSlotSize);
      TRY(mark_precise(frame, kNone, static_cast<s32>(slot)));
    }
  }
  return {};
}

}  // namespace bpfemu

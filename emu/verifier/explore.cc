// SPDX-License-Identifier: Apache-2.0
// The main loop: one instruction after the other on one path after the other (kernel: do_check).
#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {
constexpr u32 kBetweenPauses = 64;  // instructions
}  // namespace

void Checker::init_frame(Frame& frame, s32 callsite, u32 number, u32 subprog) {
  std::vector<Reference> refs = std::move(frame.refs);
  std::vector<StackSlot> stack = std::move(frame.stack);
  refs.clear();
  stack.clear();
  frame = Frame{};
  frame.refs = std::move(refs);
  frame.stack = std::move(stack);
  frame.callsite = callsite;
  frame.number = number;
  frame.subprog = subprog;
  for (Reg& reg : frame.regs) mark_not_init(reg);
  Reg& pointer = frame.regs[kFrameReg];
  pointer.type = kPtrToStack;
  set_known(pointer, 0);
  pointer.frame = number;
  touch_all();
}

State* Checker::push_state(u32 insn, s32 previous, bool speculative) {
  pending_.emplace_back();
  Pending& next = pending_.back();
  next.insn = insn;
  next.previous = previous;
  next.log_position = log_.position();
  if (recorder_) next.path_position = recorder_->position();
  pool_.copy(next.state, cur_);
  next.state.speculative |= speculative;
  if (pending_.size() > kPendingLimit) {
    log_.print("The sequence of {} jumps is too complex.\n", pending_.size());
    return nullptr;
  }
  if (next.state.parent) ++next.state.parent->branches;
  return &next.state;
}

State* Checker::push_async_callback(u32 insn, s32 previous, u32 subprog) {
  pending_.emplace_back();
  Pending& next = pending_.back();
  next.insn = insn;
  next.previous = previous;
  next.log_position = log_.position();
  if (pending_.size() > kPendingLimit) {
    log_.print("The sequence of {} jumps is too complex for async cb.\n", pending_.size());
    return nullptr;
  }
  next.state.branches = 1;
  next.state.frames[0] = pool_.take_frame();
  init_frame(*next.state.frames[0], kMainCallsite, 0, subprog);
  return &next.state;
}

// Goes on with the path that was put off last; false: all are done.
bool Checker::pop_state() {
  // The end of a path is the end of all states that have no other path left.
  for (State* state = &cur_; state && --state->branches == 0;) state = state->parent;
  if (pending_.empty()) return false;
  Pending& next = pending_.back();
  if (drops_log()) log_.reset(next.log_position);
  if (recorder_) recorder_->rewind(next.path_position);
  pool_.release(cur_);
  cur_ = std::move(next.state);
  insn_ = next.insn;
  prev_insn_ = next.previous;
  pending_.pop_back();
  return true;
}

void Checker::print_pruned() {
  if (!(log_.level() & VerifierLog::kLevels)) return;
  if (new_path_) {
    log_.print("\nfrom {} to {}{}: safe\n", prev_insn_, insn_, cur_.speculative ? " (speculative execution)" : "");
  } else {
    log_.print("{}: safe\n", insn_);
  }
}

void Checker::print_before_insn() {
  if (log_.level() & VerifierLog::kLevel2 && new_path_) {
    log_.print("\nfrom {} to {}{}:", prev_insn_, insn_, cur_.speculative ? " (speculative execution)" : "");
    print_state(cur_.frame(), true);
    new_path_ = false;
  }
  if (!(log_.level() & VerifierLog::kLevels)) return;
  if (touched_regs_ || touched_slots_) print_state_after_insn();
  print_line(insn_, "; ");
  size_t start = log_.position();
  log_.print("{}: ", insn_);
  print_insn(insn_);
  log_after_insn_ = log_.position();
  insn_text_length_ = log_after_insn_ - start;
}

Check Checker::explore() {
  s32 last = -1;
  new_path_ = false;
  for (;;) {
    prev_insn_ = last;
    if (insn_ >= insn_count()) return reject(EFAULT, "invalid insn idx {} insn_cnt {}\n", insn_, insn_count());
    if (++insns_processed_ > kInsnLimit) {
      return reject(E2BIG, "BPF program is too large. Processed {} insn\n", insns_processed_);
    }
    if (insns_processed_ % kBetweenPauses == 0 && request_.pause && request_.pause()) return fail(EAGAIN);
    if (recorder_) record_step();
    Next next = Next::kPathDone;
    if (TRY(already_explored())) {
      print_pruned();
    } else {
      print_before_insn();
      if (!cur_.speculative) aux_[insn_].seen = true;
      last = static_cast<s32>(insn_);
      next = TRY(check_insn());
    }
    if (next == Next::kReturned) new_path_ = true;
    if (next == Next::kPathDone) {
      touch_all();
      if (!pop_state()) return {};
      last = prev_insn_;
      new_path_ = true;
    }
  }
}

Result<Checker::Next> Checker::check_insn() {
  const Insn& insn = insns_[insn_];
  u8 cls = BPF_CLASS(insn.code);
  switch (cls) {
    case BPF_ALU:
    case BPF_ALU64: TRY(check_alu(insn)); break;
    case BPF_LDX: TRY(check_load(insn)); break;
    case BPF_STX: TRY(check_store(insn)); break;
    case BPF_ST: TRY(check_store_constant(insn)); break;
    case BPF_JMP:
    case BPF_JMP32: {
      Next next = TRY(check_jump(insn));
      if (next != Next::kInsn) return next;
      break;
    }
    case BPF_LD: {
      u8 mode = BPF_MODE(insn.code);
      if (mode == BPF_ABS || mode == BPF_IND) {
        TRY(check_ld_packet(insn));
      } else if (mode == BPF_IMM) {
        TRY(check_wide_load(insn));
        ++insn_;
        if (!cur_.speculative) aux_[insn_].seen = true;
      } else {
        return reject(EINVAL, "invalid BPF_LD mode\n");
      }
      break;
    }
    default: return reject(EINVAL, "unknown insn class {}\n", cls);
  }
  ++insn_;
  return Next::kInsn;
}

// Context and socket accesses are rewritten after verification, so one instruction must see one kind of pointer.
Check Checker::remember_pointer_type(RegType type) {
  auto is_rewritten = [](RegType t) {
    switch (base_type(t)) {
      case kPtrToCtx:
      case kPtrToSocket:
      case kPtrToSockCommon:
      case kPtrToTcpSock:
      case kPtrToXdpSock:
      case kPtrToBtfId: return true;
      default: return false;
    }
  };
  RegType& known = aux_[insn_].ptr_type;
  if (known == kNotInit) {
    known = type;
  } else if (type != known && (is_rewritten(type) || is_rewritten(known))) {
    return reject(EINVAL, "same insn cannot be used with different pointers\n");
  }
  return {};
}

Check Checker::check_load(const Insn& insn) {
  TRY(use_reg(insn.src_reg, Use::kRead));
  TRY(use_reg(insn.dst_reg, Use::kWriteKeep));
  RegType type = reg(insn.src_reg).type;
  TRY(check_access(insn_, insn.src_reg, insn.off, access_size(insn.code), Access::kRead, insn.dst_reg, false));
  return remember_pointer_type(type);
}

Check Checker::check_store(const Insn& insn) {
  if (is_atomic(insn)) return check_atomic(insn);
  if (BPF_MODE(insn.code) != BPF_MEM || insn.imm != 0) return reject(EINVAL, "BPF_STX uses reserved fields\n");
  TRY(use_reg(insn.src_reg, Use::kRead));
  TRY(use_reg(insn.dst_reg, Use::kRead));
  RegType type = reg(insn.dst_reg).type;
  TRY(check_access(insn_, insn.dst_reg, insn.off, access_size(insn.code), Access::kWrite, insn.src_reg, false));
  return remember_pointer_type(type);
}

Check Checker::check_store_constant(const Insn& insn) {
  if (BPF_MODE(insn.code) != BPF_MEM || insn.src_reg != BPF_REG_0) {
    return reject(EINVAL, "BPF_ST uses reserved fields\n");
  }
  TRY(use_reg(insn.dst_reg, Use::kRead));
  if (reg(insn.dst_reg).type == kPtrToCtx) {
    return reject(EACCES, "BPF_ST stores into R{} {} is not allowed\n", u32{insn.dst_reg},
                  type_text(reg(insn.dst_reg).type));
  }
  return check_access(insn_, insn.dst_reg, insn.off, access_size(insn.code), Access::kWrite, -1, false);
}

Result<Checker::Next> Checker::check_jump(const Insn& insn) {
  ++jumps_processed_;
  switch (BPF_OP(insn.code)) {
    case BPF_CALL: TRY(check_call(insn)); break;
    case BPF_JA: TRY(check_goto(insn)); break;
    case BPF_EXIT: return check_exit(insn);
    default: TRY(check_branch(insn)); break;
  }
  return Next::kInsn;
}

Check Checker::check_call(const Insn& insn) {
  bool kfunc = insn.src_reg == BPF_PSEUDO_KFUNC_CALL;
  if (BPF_SRC(insn.code) != BPF_K || (!kfunc && insn.off != 0) ||
      (insn.src_reg != BPF_REG_0 && insn.src_reg != BPF_PSEUDO_CALL && !kfunc) || insn.dst_reg != BPF_REG_0 ||
      BPF_CLASS(insn.code) == BPF_JMP32) {
    return reject(EINVAL, "BPF_CALL uses reserved fields\n");
  }
  if (cur_.active_lock && (insn.src_reg == BPF_PSEUDO_CALL || insn.imm != BPF_FUNC_spin_unlock)) {
    return reject(EINVAL, "function calls are not allowed while holding a lock\n");
  }
  if (insn.src_reg == BPF_PSEUDO_CALL) return check_subprog_call(insn);
  return kfunc ? check_kfunc_call() : check_helper_call(insn);
}

Check Checker::check_goto(const Insn& insn) {
  bool far = BPF_CLASS(insn.code) == BPF_JMP32;
  if (BPF_SRC(insn.code) != BPF_K || insn.src_reg != BPF_REG_0 || insn.dst_reg != BPF_REG_0 ||
      (far ? insn.off != 0 : insn.imm != 0)) {
    return reject(EINVAL, "BPF_JA uses reserved fields\n");
  }
  insn_ += static_cast<u32>(far ? insn.imm : insn.off);
  return {};
}

Result<Checker::Next> Checker::check_exit(const Insn& insn) {
  if (BPF_SRC(insn.code) != BPF_K || insn.imm != 0 || insn.src_reg != BPF_REG_0 || insn.dst_reg != BPF_REG_0 ||
      BPF_CLASS(insn.code) == BPF_JMP32) {
    return reject(EINVAL, "BPF_EXIT uses reserved fields\n");
  }
  if (cur_.active_lock) return reject(EINVAL, "bpf_spin_unlock is missing\n");
  // Also when a callback returns: what it acquired it must have released.
  TRY(check_no_references());
  if (cur_.depth) {
    TRY(leave_function());
    return Next::kReturned;
  }
  TRY(check_return_code());
  return Next::kPathDone;
}

Check Checker::check_wide_load(const Insn& insn) {
  if (BPF_SIZE(insn.code) != BPF_DW) return reject(EINVAL, "invalid BPF_LD_IMM insn\n");
  if (insn.off != 0) return reject(EINVAL, "BPF_LD_IMM64 uses reserved fields\n");
  TRY(use_reg(insn.dst_reg, Use::kWrite));
  Reg& dst = reg(insn.dst_reg);
  const InsnAux& aux = aux_[insn_];
  if (insn.src_reg == 0) {
    dst.type = kScalar;
    set_known(dst, static_cast<u32>(insn.imm) | static_cast<u64>(insns_[insn_ + 1].imm) << 32);
    return {};
  }
  set_known(dst, 0);
  if (insn.src_reg == BPF_PSEUDO_BTF_ID) {
    dst.type = aux.btf_var_type;
    if (base_type(dst.type) == kPtrToMem) {
      dst.detail = aux.btf_var_size;
    } else {
      dst.point_to_btf(aux.btf_var_btf, aux.btf_var_id);
    }
    return {};
  }
  if (insn.src_reg == BPF_PSEUDO_FUNC) {
    s32 subprog = find_subprog(s64{insn_} + insn.imm + 1);
    if (func_info_.empty()) return reject(EINVAL, "missing btf func_info\n");
    if (func_facts_[subprog].linkage != BTF_FUNC_STATIC) return reject(EINVAL, "callback function not static\n");
    if (subprog == 0) return reject(EINVAL, "callback function cannot be the main program\n");
    dst.type = kPtrToFunc;
    dst.detail = static_cast<u32>(subprog);
    return {};
  }
  MapObject& map = *used_maps_[aux.map_index];
  dst.point_to_map(&map);
  if (insn.src_reg == BPF_PSEUDO_MAP_VALUE || insn.src_reg == BPF_PSEUDO_MAP_IDX_VALUE) {
    dst.type = kPtrToMapValue;
    dst.off = static_cast<s32>(aux.map_offset);
    if (map.spin_lock_offset) dst.id = new_id();
  } else {
    dst.type = kConstPtrToMap;
  }
  return {};
}

// LD_ABS and LD_IND: loads from the packet that end the program when out of range. R6 is the context, R0 to R5 die.
Check Checker::check_ld_packet(const Insn& insn) {
  u8 mode = BPF_MODE(insn.code);
  if (!ops_->ld_abs) return reject(EINVAL, "BPF_LD_[ABS|IND] instructions not allowed for this program type\n");
  if (insn.dst_reg != BPF_REG_0 || insn.off != 0 || BPF_SIZE(insn.code) == BPF_DW ||
      (mode == BPF_ABS && insn.src_reg != BPF_REG_0)) {
    return reject(EINVAL, "BPF_LD_[ABS|IND] uses reserved fields\n");
  }
  TRY(use_reg(BPF_REG_6, Use::kRead));
  if (auto none = check_no_references(); !none) {
    log_.print("BPF_LD_[ABS|IND] cannot be mixed with socket references\n");
    return none;
  }
  if (cur_.active_lock) {
    return reject(EINVAL, "BPF_LD_[ABS|IND] cannot be used inside bpf_spin_lock-ed region\n");
  }
  if (reg(BPF_REG_6).type != kPtrToCtx) {
    return reject(EINVAL, "at the time of BPF_LD_ABS|IND R6 != pointer to skb\n");
  }
  if (mode == BPF_IND) TRY(use_reg(insn.src_reg, Use::kRead));
  TRY(check_pointer_offset(reg(BPF_REG_6), BPF_REG_6, false));
  clobber_caller_saved();
  mark_unknown(reg(BPF_REG_0));
  reg(BPF_REG_0).subreg_def = static_cast<s32>(insn_ + 1);
  if (cur_.depth) {
    // Out of range ends the function, with 0, not the program.
    touch_reg(BPF_REG_0);
    if (!push_state(insn_ + 1, static_cast<s32>(insn_), false)) return fail(EFAULT);
    set_known(reg(BPF_REG_0), 0);
    TRY(leave_function());
    --insn_;
  }
  return {};
}

// One function on its own, from its beginning (kernel: do_check_common).
Check Checker::check_subprog(u32 subprog) {
  last_line_ = nullptr;
  for (Explored*& head : explored_) {
    while (head) pool_.give_back(std::exchange(head, head->next));
  }
  for (Explored* explored : retired_) pool_.give_back(explored);
  retired_.clear();
  pool_.release(cur_);
  cur_ = State{};
  cur_.branches = 1;
  cur_.frames[0] = pool_.take_frame();
  init_frame(*cur_.frames[0], kMainCallsite, 0, subprog);
  cur_.first_insn = static_cast<s32>(subprogs_[subprog].start);
  cur_.last_insn = -1;
  insn_ = subprogs_[subprog].start;
  if (subprog || info_.type == BPF_PROG_TYPE_EXT) {
    TRY(prepare_func_args(subprog));
    for (u32 i = BPF_REG_1; i <= BPF_REG_5; ++i) {
      Reg& r = reg(i);
      if (r.type == kPtrToCtx) {
        set_known(r, 0);
      } else if (r.type == kScalar) {
        mark_unknown(r);
      } else if (base_type(r.type) == kPtrToMem) {
        u32 size = r.mem_size();
        set_known(r, 0);
        r.detail = size;
        r.id = new_id();
      }
    }
  } else {
    reg(BPF_REG_1).type = kPtrToCtx;
    set_known(reg(BPF_REG_1), 0);
    // A main function whose BTF does not fit its arguments merely becomes unreliable.
    if (auto fits = check_subprog_args(subprog, false); !fits && fits.error().value == EFAULT) return fits;
  }
  TRY(explore());
  if (drops_log()) log_.reset(0);
  return {};
}

Check Checker::check_global_subprogs() {
  if (func_info_.empty()) return {};
  for (u32 i = 1; i < subprog_count(); ++i) {
    if (func_facts_[i].linkage != BTF_FUNC_GLOBAL) continue;
    TRY(check_subprog(i));
    if (log_.level() & VerifierLog::kLevels) {
      log_.print("Func#{} is safe for any args that match its prototype\n", i);
    }
  }
  return {};
}

}  // namespace bpfemu

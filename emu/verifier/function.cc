// SPDX-License-Identifier: Apache-2.0
// Calls into the program's own functions: by the program, or by a helper as its callback (kernel: __check_func_call,
// prepare_func_exit).
#include "emu/verifier/checker.h"

namespace bpfemu {

Check Checker::check_subprog_call(const Insn& insn) {
  s64 target = s64{insn_} + insn.imm + 1;
  s32 subprog = find_subprog(target);
  if (subprog < 0) return reject(EFAULT, "verifier bug. No program starts at insn {}\n", target);
  return enter_function(insn, static_cast<u32>(subprog), &Checker::pass_arguments);
}

Check Checker::enter_function(const Insn& insn, u32 subprog, CalleeSetup setup) {
  if (cur_.depth + 1 >= kMaxFrames) {
    return reject(E2BIG, "the call stack of {} frames is too deep\n", cur_.depth + 2);
  }
  Frame& caller = cur_.frame();
  bool is_global = !func_facts_.empty() && func_facts_[subprog].linkage == BTF_FUNC_GLOBAL;
  Check fits = check_subprog_args(subprog, true);
  if (!fits && fits.error().value == EFAULT) return fits;
  if (is_global) {
    // Verified on its own for all arguments of its types.
    if (!fits) {
      log_.print("Caller passes invalid args into func#{}\n", subprog);
      return fits;
    }
    if (log_.level() & VerifierLog::kLevels) log_.print("Func#{} is global and valid. Skipping.\n", subprog);
    clobber_caller_saved(caller);
    mark_unknown(caller.regs[BPF_REG_0]);
    caller.regs[BPF_REG_0].subreg_def = kNotSubreg;
    return {};
  }
  if (is_call(insn) && insn.src_reg == 0 && insn.imm == BPF_FUNC_timer_set_callback) return enter_async(subprog, setup);

  Frame* callee = pool_.take_frame();
  init_frame(*callee, static_cast<s32>(insn_), cur_.depth + 1, subprog);
  callee->refs = caller.refs;
  if (Check set = (this->*setup)(caller, *callee, insn_); !set) {
    pool_.give_back(callee);
    return set;
  }
  clobber_caller_saved(caller);
  cur_.frames[++cur_.depth] = callee;
  // The main loop steps to the function's first instruction.
  insn_ = subprogs_[subprog].start - 1;
  if (log_.level() & VerifierLog::kLevels) {
    log_.print("caller:\n");
    print_state(caller, true);
    log_.print("callee:\n");
    print_state(*callee, true);
  }
  return {};
}

// A timer's callback runs later, on a stack of its own: a path of its own.
Check Checker::enter_async(u32 subprog, CalleeSetup setup) {
  Frame& caller = cur_.frame();
  subprogs_[subprog].is_async_callback = true;
  State* callback = push_async_callback(subprogs_[subprog].start, static_cast<s32>(insn_), subprog);
  if (!callback) return fail(EFAULT);
  Frame& callee = *callback->frames[0];
  callee.async_entries = caller.async_entries + 1;
  TRY((this->*setup)(caller, callee, insn_));
  clobber_caller_saved(caller);
  mark_unknown(caller.regs[BPF_REG_0]);
  caller.regs[BPF_REG_0].subreg_def = kNotSubreg;
  return {};
}

Check Checker::leave_function() {
  Frame& callee = cur_.frame();
  Frame& caller = *cur_.frames[cur_.depth - 1];
  const Reg& result = callee.regs[BPF_REG_0];
  if (result.type == kPtrToStack) return reject(EINVAL, "cannot return stack pointer to the caller\n");
  if (callee.in_callback) {
    if (!result.is_scalar()) return reject(EACCES, "R0 not a scalar value\n");
    TRY(mark_read(result));
    TRY(mark_precise(BPF_REG_0));
    if (!callee.callback_result.contains(result.var_off)) {
      print_bad_scalar(result, callee.callback_result, "callback return", "R0");
      return fail(EINVAL);
    }
  } else {
    // With its place in the tree: a read of R0 goes up to where the function computed it.
    caller.regs[BPF_REG_0] = result;
    caller.refs = callee.refs;
  }
  insn_ = static_cast<u32>(callee.callsite + 1);
  if (log_.level() & VerifierLog::kLevels) {
    log_.print("returning from callee:\n");
    print_state(callee, true);
    log_.print("to caller at {}:\n", insn_);
    print_state(caller, true);
  }
  cur_.frames[cur_.depth--] = nullptr;
  pool_.give_back(&callee);
  return {};
}

Check Checker::pass_arguments(const Frame& caller, Frame& callee, u32) {
  // Whole registers, so that reads in the function mark the caller's states.
  for (u32 i = BPF_REG_1; i <= BPF_REG_5; ++i) callee.regs[i] = caller.regs[i];
  return {};
}

void Checker::set_map_element(Reg& reg, RegBase base, const Reg& map) {
  reg.type = base;
  set_known(reg, 0);
  reg.point_to_map(map.map());
}

// callback(map, key, value, context)
Check Checker::pass_to_map_callback(const Frame& caller, Frame& callee, u32 insn) {
  const InsnAux& aux = aux_[insn];
  if (aux.map_poisoned) return reject(EINVAL, "tail_call abusing map_ptr\n");
  if (!aux.map->ops().for_each) return reject(ENOTSUPP, "callback function not allowed for map\n");
  const Reg& map = caller.regs[BPF_REG_1];
  callee.regs[BPF_REG_1] = map;
  set_map_element(callee.regs[BPF_REG_2], kPtrToMapKey, map);
  set_map_element(callee.regs[BPF_REG_3], kPtrToMapValue, map);
  callee.regs[BPF_REG_4] = caller.regs[BPF_REG_3];
  mark_not_init(callee.regs[BPF_REG_5]);
  callee.in_callback = true;
  callee.callback_result = Tnum::range(0, 1);
  return {};
}

// callback(index, context)
Check Checker::pass_to_loop_callback(const Frame& caller, Frame& callee, u32) {
  callee.regs[BPF_REG_1].type = kScalar;
  callee.regs[BPF_REG_2] = caller.regs[BPF_REG_3];
  for (u32 i = BPF_REG_3; i <= BPF_REG_5; ++i) mark_not_init(callee.regs[i]);
  callee.in_callback = true;
  callee.callback_result = Tnum::range(0, 1);
  return {};
}

// callback(map, key, value)
Check Checker::pass_to_timer_callback(const Frame& caller, Frame& callee, u32) {
  const Reg& timer = caller.regs[BPF_REG_1];
  set_map_element(callee.regs[BPF_REG_1], kConstPtrToMap, timer);
  set_map_element(callee.regs[BPF_REG_2], kPtrToMapKey, timer);
  set_map_element(callee.regs[BPF_REG_3], kPtrToMapValue, timer);
  mark_not_init(callee.regs[BPF_REG_4]);
  mark_not_init(callee.regs[BPF_REG_5]);
  callee.in_async_callback = true;
  callee.callback_result = Tnum::range(0, 1);
  return {};
}

// callback(task, vma, context)
Check Checker::pass_to_vma_callback(const Frame& caller, Frame& callee, u32) {
  callee.regs[BPF_REG_1] = caller.regs[BPF_REG_1];
  Reg& vma = callee.regs[BPF_REG_2];
  vma.type = kPtrToBtfId;
  set_known(vma, 0);
  vma.point_to_btf(vmlinux(), TRY(vmlinux()->find("vm_area_struct", BTF_KIND_STRUCT)));
  callee.regs[BPF_REG_3] = caller.regs[BPF_REG_4];
  mark_not_init(callee.regs[BPF_REG_4]);
  mark_not_init(callee.regs[BPF_REG_5]);
  callee.in_callback = true;
  callee.callback_result = Tnum::range(0, 1);
  return {};
}

// callback(dynptr, context)
Check Checker::pass_to_ringbuf_callback(const Frame& caller, Frame& callee, u32) {
  mark_not_init(callee.regs[BPF_REG_0]);
  callee.regs[BPF_REG_1].type = kPtrToDynptr | kDynptrLocal;
  set_known(callee.regs[BPF_REG_1], 0);
  callee.regs[BPF_REG_2] = caller.regs[BPF_REG_3];
  for (u32 i = BPF_REG_3; i <= BPF_REG_5; ++i) mark_not_init(callee.regs[i]);
  callee.in_callback = true;
  callee.callback_result = Tnum::range(0, 1);
  return {};
}

}  // namespace bpfemu

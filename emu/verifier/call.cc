// SPDX-License-Identifier: Apache-2.0
// Calls of helpers: what they take, what they leave behind (kernel: check_helper_call).
#include <algorithm>

#include "emu/abi/map_calls.h"
#include "emu/verifier/bprintf.h"
#include "emu/verifier/btf_access.h"
#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

// The result is the argument seen as something else: it shares its reference.
bool casts_pointer(u32 helper) {
  switch (helper) {
    case BPF_FUNC_tcp_sock:
    case BPF_FUNC_sk_fullsock:
    case BPF_FUNC_skc_to_tcp_sock:
    case BPF_FUNC_skc_to_tcp6_sock:
    case BPF_FUNC_skc_to_udp6_sock:
    case BPF_FUNC_skc_to_mptcp_sock:
    case BPF_FUNC_skc_to_tcp_timewait_sock:
    case BPF_FUNC_skc_to_tcp_request_sock: return true;
    default: return false;
  }
}

// The result is a new reference, which the program must release.
bool acquires(u32 helper, const MapObject* map) {
  switch (helper) {
    case BPF_FUNC_sk_lookup_tcp:
    case BPF_FUNC_sk_lookup_udp:
    case BPF_FUNC_skc_lookup_tcp:
    case BPF_FUNC_ringbuf_reserve:
    case BPF_FUNC_kptr_xchg: return true;
    case BPF_FUNC_map_lookup_elem:
      return map && has_trait(map->map(), kSockets);
    default: return false;
  }
}

bool writes_map(u32 helper) {
  return helper == BPF_FUNC_map_delete_elem || helper == BPF_FUNC_map_update_elem || helper == BPF_FUNC_map_push_elem ||
         helper == BPF_FUNC_map_pop_elem;
}

// Results between -MAX_ERRNO and the size that was asked for.
bool returns_length(u32 helper) {
  return helper == BPF_FUNC_get_stack || helper == BPF_FUNC_get_task_stack || helper == BPF_FUNC_probe_read_str ||
         helper == BPF_FUNC_probe_read_kernel_str || helper == BPF_FUNC_probe_read_user_str;
}

}  // namespace

void Checker::clobber_caller_saved(Frame& frame) {
  for (u32 i = BPF_REG_0; i <= BPF_REG_5; ++i) {
    mark_not_init(frame.regs[i]);
    (void)use_reg(i, Use::kWriteKeep);
  }
}

void Checker::forget_packet_pointers() {
  cur_.for_each_reg([this](Reg& r) {
    if (r.is_packet_or_end()) mark_unknown(r);
  });
}

u32 Checker::acquire_reference(u32 insn) {
  Frame& frame = cur_.frame();
  u32 id = new_id();
  frame.refs.push_back({id, static_cast<s32>(insn), frame.in_callback ? frame.number : 0});
  return id;
}

Check Checker::release_reference(u32 id) {
  if (!cur_.frame().release(id)) return fail(EINVAL);
  cur_.for_each_reg([&](Reg& r) {
    if (r.ref_obj_id != id) return;
    if (allow_ptr_leaks_) {
      mark_unknown(r);
    } else {
      mark_not_init(r);
    }
  });
  return {};
}

// At exit, tail calls and packet loads nothing may be held; a callback gives back what it took itself.
Check Checker::check_no_references() {
  const Frame& frame = cur_.frame();
  if (frame.number && !frame.in_callback) return {};
  bool held = false;
  for (const Reference& ref : frame.refs) {
    if (frame.in_callback && ref.callback_frame != frame.number) continue;
    log_.print("Unreleased reference id={} alloc_insn={}\n", ref.id, ref.insn);
    held = true;
  }
  if (held) return fail(EINVAL);
  return {};
}

// Which map a call has, for what it becomes when it is always the same one (kernel: record_func_map).
Check Checker::remember_map(const CallMeta& meta, u32 insn) {
  if (meta.helper != BPF_FUNC_tail_call && !map_call(static_cast<s32>(meta.helper))) return {};
  if (!meta.map) return reject(EINVAL, "kernel subsystem misconfigured verifier\n");
  if (meta.map->map().flags & BPF_F_RDONLY_PROG && writes_map(meta.helper)) {
    return reject(EACCES, "write into map forbidden\n");
  }
  InsnAux& aux = aux_[insn];
  aux.map_unpriv |= !bypass_spec_v1_;
  if (!aux.map && !aux.map_poisoned) {
    aux.map = meta.map;
  } else if (aux.map != meta.map) {
    aux.map = nullptr;
    aux.map_poisoned = true;
  }
  return {};
}

// Tail calls through a constant index become direct jumps.
Check Checker::remember_key(const CallMeta& meta, u32 insn) {
  if (meta.helper != BPF_FUNC_tail_call) return {};
  if (!meta.map || meta.map->map().type != BPF_MAP_TYPE_PROG_ARRAY) {
    return reject(EINVAL, "kernel subsystem misconfigured verifier\n");
  }
  InsnAux& aux = aux_[insn];
  const Reg& index = reg(BPF_REG_3);
  u64 value = index.var_off.value;
  if (!index.is_const() || value >= meta.map->map().max_entries) {
    aux.map_key_seen = aux.map_key_poisoned = true;
    return {};
  }
  TRY(mark_precise(BPF_REG_3));
  if (!aux.map_key_seen) {
    aux.map_key = value;
    aux.map_key_seen = true;
  } else if (aux.map_key != value) {
    aux.map_key_poisoned = true;
  }
  return {};
}

Check Checker::check_snprintf() {
  const Reg& format = reg(BPF_REG_3);
  const Reg& length = reg(BPF_REG_5);
  if (length.var_off.value % 8) return fail(EINVAL);
  MapObject& map = *format.map();
  u64 off = static_cast<u64>(s64{format.off}) + format.var_off.value, address;
  if (map.ops().direct_value(map.map(), off, &address) < 0) return reject(EFAULT, "verifier bug\n");
  if (!is_valid_format(reinterpret_cast<const char*>(address + off), length.var_off.value / 8)) {
    return reject(EINVAL, "Invalid format string\n");
  }
  return {};
}

Check Checker::check_func_ip() {
  u32 type = info_.resolved_type();
  std::string name = helper_text(BPF_FUNC_get_func_ip);
  if (type == BPF_PROG_TYPE_KPROBE) return {};
  if (type != BPF_PROG_TYPE_TRACING) {
    return reject(ENOTSUPP, "func {}#{} not supported for program type {}\n", name, u32{BPF_FUNC_get_func_ip},
                  type);
  }
  u32 attach = info_.expected_attach_type;
  if (attach != BPF_TRACE_FENTRY && attach != BPF_TRACE_FEXIT && attach != BPF_MODIFY_RETURN) {
    return reject(ENOTSUPP, "func {}#{} supported only for fentry/fexit/fmod_ret programs\n", name,
                  u32{BPF_FUNC_get_func_ip});
  }
  return {};
}

// bpf_loop is inlined when it always calls the same function, without flags.
void Checker::update_loop_inlining(u32 subprog) {
  InsnAux& aux = aux_[insn_];
  auto no_flags = [this] {
    bool none = reg(BPF_REG_4).is_null();
    if (none) (void)mark_precise(BPF_REG_4);
    return none;
  };
  if (!aux.loop_initialized) {
    aux.loop_initialized = true;
    aux.loop_fit_for_inline = no_flags();
    aux.loop_subprog = subprog;
  } else if (aux.loop_fit_for_inline) {
    aux.loop_fit_for_inline = no_flags() && aux.loop_subprog == subprog;
  }
}

// What single helpers ask for beyond their prototype, and the calls back into the program.
Check Checker::check_helper_effects(const Insn& insn, const HelperProto& proto, CallMeta& meta) {
  switch (meta.helper) {
    case BPF_FUNC_tail_call:
      if (auto none = check_no_references(); !none) {
        log_.print("tail_call would lead to reference leak\n");
        return none;
      }
      return {};
    case BPF_FUNC_get_local_storage:
      if (!reg(BPF_REG_2).is_null()) {
        return reject(EINVAL, "get_local_storage() doesn't support non-zero flags\n");
      }
      return {};
    case BPF_FUNC_for_each_map_elem: return enter_function(insn, meta.subprog, &Checker::pass_to_map_callback);
    case BPF_FUNC_timer_set_callback: return enter_function(insn, meta.subprog, &Checker::pass_to_timer_callback);
    case BPF_FUNC_find_vma: return enter_function(insn, meta.subprog, &Checker::pass_to_vma_callback);
    case BPF_FUNC_loop:
      update_loop_inlining(meta.subprog);
      return enter_function(insn, meta.subprog, &Checker::pass_to_loop_callback);
    case BPF_FUNC_user_ringbuf_drain: return enter_function(insn, meta.subprog, &Checker::pass_to_ringbuf_callback);
    case BPF_FUNC_snprintf: return check_snprintf();
    case BPF_FUNC_dynptr_from_mem:
      if (reg(BPF_REG_1).type != kPtrToMapValue) {
        return reject(EACCES, "Unsupported reg type {} for bpf_dynptr_from_mem data\n", type_text(reg(BPF_REG_1).type));
      }
      return {};
    case BPF_FUNC_set_retval:
      if (info_.resolved_type() == BPF_PROG_TYPE_LSM && info_.expected_attach_type == BPF_LSM_CGROUP &&
          !info_.attach_func_proto->type) {
        return reject(EINVAL, "BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!\n");
      }
      return {};
    case BPF_FUNC_dynptr_data:
      for (u32 i = 0; i < 5; ++i) {
        if (base_type(proto.args[i]) != kArgPtrToDynptr) continue;
        const Reg& r = reg(BPF_REG_1 + i);
        if (meta.ref_obj_id) return reject(EFAULT, "verifier internal error: meta.ref_obj_id already set\n");
        // The slice lives as long as the dynptr.
        if (base_type(r.type) != kPtrToDynptr) meta.ref_obj_id = frame_of(r).stack[slot_of(r.off)].spilled.id;
        return {};
      }
      return reject(EFAULT, "verifier internal error: no dynptr in bpf_dynptr_data()\n");
    default: return {};
  }
}

// Results that BTF describes: per-CPU variables, and pointers to kernel structs.
Check Checker::set_btf_result(Reg& result, const HelperProto& proto, const CallMeta& meta) {
  u32 flags = type_flags(proto.ret);
  if (base_type(proto.ret) == kRetPtrToMemOrBtfId) {
    const Btf& btf = *meta.ret_btf;
    u32 resolved;
    const btf_type* type = btf.skip_modifiers(meta.ret_btf_id, &resolved);
    u32 kind = Btf::kind(*type);
    if (kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION) {
      result.type = kPtrToBtfId | (flags & ~kRdonly);
      result.point_to_btf(&btf, meta.ret_btf_id);
      return {};
    }
    Result<u32> size = btf.size_of(resolved);
    if (!size) {
      return reject(EINVAL, "unable to resolve the size of type '{}': {}\n", btf.type_name(resolved),
                    -size.error().value);
    }
    result.type = kPtrToMem | flags;
    result.detail = *size;
    return {};
  }
  result.type = kPtrToBtfId | flags;
  if (meta.kptr) {
    result.point_to_btf(meta.kptr->btf.get(), meta.kptr->btf_id);
    return {};
  }
  Result<u32> id = vmlinux() ? vmlinux()->find(proto.ret_struct, BTF_KIND_STRUCT) : fail(ENOENT);
  if (!id) {
    return reject(EINVAL, "invalid return type {} of func {}#{}\n", base_type(proto.ret), helper_text(meta.helper),
                  meta.helper);
  }
  result.point_to_btf(vmlinux(), *id);
  return {};
}

Check Checker::set_result(Reg& result, const HelperProto& proto, const CallMeta& meta) {
  u32 base = base_type(proto.ret), flags = type_flags(proto.ret);
  if (base == kRetInteger) {
    mark_unknown(result);
    return {};
  }
  if (base == kRetVoid) {
    result.type = kNotInit;
    return {};
  }
  set_known(result, 0);
  switch (base) {
    case kRetPtrToMapValue:
      if (!meta.map) return reject(EINVAL, "kernel subsystem misconfigured verifier\n");
      result.point_to_map(meta.map);
      result.detail = meta.map_uid;
      result.type = kPtrToMapValue | flags;
      if (!(flags & kMaybeNull) && meta.map->spin_lock_offset) result.id = new_id();
      break;
    case kRetPtrToSocket: result.type = kPtrToSocket | flags; break;
    case kRetPtrToSockCommon: result.type = kPtrToSockCommon | flags; break;
    case kRetPtrToTcpSock: result.type = kPtrToTcpSock | flags; break;
    case kRetPtrToAllocMem:
      result.type = kPtrToMem | flags;
      result.detail = meta.mem_size;
      break;
    case kRetPtrToMemOrBtfId:
    case kRetPtrToBtfId: return set_btf_result(result, proto, meta);
    default:
      return reject(EINVAL, "unknown return type {} of func {}#{}\n", base, helper_text(meta.helper), meta.helper);
  }
  return {};
}

void Checker::refine_result(Reg& result, const HelperProto& proto, const CallMeta& meta) {
  if (proto.ret != kRetInteger || !returns_length(meta.helper)) return;
  constexpr s32 kMaxErrno = 4095;
  result.r64.smax = static_cast<s64>(meta.max_size);
  result.r32.smax = static_cast<s32>(meta.max_size);
  result.r64.smin = -kMaxErrno;
  result.r32.smin = -kMaxErrno;
  sync_bounds(result);
}

Check Checker::check_helper_call(const Insn& insn) {
  u32 helper = static_cast<u32>(insn.imm), insn_index = insn_;
  std::string name = helper_text(helper);
  if (insn.imm < 0 || helper >= __BPF_FUNC_MAX_ID) return reject(EINVAL, "invalid func {}#{}\n", name, insn.imm);
  const HelperProto* proto = ops_->helper ? ops_->helper(helper, info_) : nullptr;
  if (!proto) return reject(EINVAL, "unknown func {}#{}\n", name, helper);
  if (!info_.gpl_compatible && proto->gpl_only) {
    return reject(EINVAL, "cannot call GPL-restricted function from non-GPL compatible program\n");
  }
  if (proto->allowed && !proto->allowed(info_)) return reject(EINVAL, "helper call is not allowed in probe\n");
  if (!info_.sleepable && proto->might_sleep) {
    return reject(EINVAL, "helper call might sleep in a non-sleepable prog\n");
  }
  bool changes_packet = helper_changes_packet(helper);
  if (changes_packet && proto->args[0] != kArgPtrToCtx) {
    return reject(EINVAL, "kernel subsystem misconfigured func {}#{}: r1 != ctx\n", name, helper);
  }

  // They read it themselves, or hand it to another program.
  if (helper == BPF_FUNC_tail_call || helper == BPF_FUNC_get_func_arg) info_.reads_all_ctx();

  CallMeta meta;
  meta.helper = helper;
  meta.pkt_access = proto->pkt_access;
  for (u32 i = 0; i < 5; ++i) TRY(check_arg(i, meta, *proto));
  TRY(remember_map(meta, insn_index));
  TRY(remember_key(meta, insn_index));
  // The helper fills this memory.
  for (s32 i = 0; i < meta.raw_size; ++i) {
    TRY(check_access(insn_index, meta.raw_reg, i, 1, Access::kWrite, -1, false));
  }
  if (meta.uninit_dynptr_reg) {
    for (s32 half = 0; half < 16; half += 8) {
      TRY(check_access(insn_index, meta.uninit_dynptr_reg, half, 8, Access::kWrite, -1, false));
    }
    ArgType type = proto->args[meta.uninit_dynptr_reg - BPF_REG_1];
    TRY(mark_dynptr(reg(meta.uninit_dynptr_reg), type, insn_index));
  }
  if (meta.release_reg) {
    const Reg& released = reg(meta.release_reg);
    Check done = fail(EINVAL);
    if (base_type(proto->args[meta.release_reg - BPF_REG_1]) == kArgPtrToDynptr) {
      done = unmark_dynptr(released);
    } else if (meta.ref_obj_id) {
      done = release_reference(meta.ref_obj_id);
    } else if (released.is_null()) {
      done = {};
    }
    if (!done) {
      log_.print("func {}#{} reference has not been acquired before\n", name, helper);
      return done;
    }
  }

  // A callback is entered in here; the helper's result goes to the frame that called it.
  Frame& caller = cur_.frame();
  TRY(check_helper_effects(insn, *proto, meta));
  clobber_caller_saved(caller);
  Reg& result = caller.regs[BPF_REG_0];
  result.subreg_def = kNotSubreg;
  TRY(set_result(result, *proto, meta));
  if (result.may_be_null()) result.id = new_id();
  if (casts_pointer(helper) || helper == BPF_FUNC_dynptr_data) {
    result.ref_obj_id = meta.ref_obj_id;
  } else if (acquires(helper, meta.map)) {
    result.id = result.ref_obj_id = acquire_reference(insn_index);
  }
  refine_result(result, *proto, meta);
  TRY(check_map_for_helper(meta.map, helper));

  if (helper == BPF_FUNC_get_stack || helper == BPF_FUNC_get_task_stack) info_.has_callchain_buf = true;
  if (helper == BPF_FUNC_get_stackid || helper == BPF_FUNC_get_stack) info_.call_get_stack = true;
  if (helper == BPF_FUNC_get_func_ip) {
    TRY(check_func_ip());
    info_.call_get_func_ip = true;
  }
  if (changes_packet) forget_packet_pointers();
  return {};
}

}  // namespace bpfemu

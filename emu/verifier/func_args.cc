// SPDX-License-Identifier: Apache-2.0
// Arguments of functions that BTF describes: the program's own, and (with kfunc.cc) the kernel's (kernel:
// btf_check_func_arg_match, btf_prepare_func_args).
#include "emu/verifier/btf_access.h"
#include "emu/verifier/btf_kind.h"
#include "emu/verifier/checker.h"

namespace bpfemu {

bool Checker::is_ctx_type(const Btf& btf, const btf_type& pointer, u32 prog_type, u32 arg) {
  if (!vmlinux()) {
    log_.print("btf_vmlinux is malformed\n");
    return false;
  }
  return kernel_ctx_struct(*vmlinux(), btf, pointer, prog_type, arg, log_).has_value();
}

// The registers at the beginning of a global function: anything that its prototype allows.
Check Checker::prepare_func_args(u32 subprog) {
  if (func_info_.empty() || func_facts_[subprog].linkage != BTF_FUNC_GLOBAL) return reject(EFAULT, "Verifier bug\n");
  const Btf& btf = *request_.btf;
  u32 id = func_info_[subprog].type_id;
  if (!id) return reject(EFAULT, "Global functions need valid BTF\n");
  const btf_type* func = btf.type(id);
  if (!func || Btf::kind(*func) != BTF_KIND_FUNC) {
    return reject(EFAULT, "BTF of func#{} doesn't point to KIND_FUNC\n", subprog);
  }
  const char* name = btf.string(func->name_off);
  if (log_.level() & VerifierLog::kLevels) log_.print("Validating {}() func#{}...\n", name, subprog);
  if (func_facts_[subprog].unreliable) return reject(EFAULT, "Verifier bug in function {}()\n", name);
  u32 prog_type = info_.type == BPF_PROG_TYPE_EXT && info_.dst_prog ? info_.dst_prog->type : info_.type;
  const btf_type* proto = btf.type(func->type);
  if (!proto || Btf::kind(*proto) != BTF_KIND_FUNC_PROTO) {
    return reject(EFAULT, "Invalid type of function {}()\n", name);
  }
  auto params = btf.params(*proto);
  constexpr size_t kMaxArgs = 5;
  if (params.size() > kMaxArgs) {
    return reject(EINVAL, "Global function {}() with {} > {} args. Buggy compiler.\n", name, params.size(), kMaxArgs);
  }
  if (!is_int_or_enum(*btf.skip_modifiers(proto->type))) {
    return reject(EINVAL, "Global function {}() doesn't return scalar. Only those are supported.\n", name);
  }
  for (u32 i = 0; i < params.size(); ++i) {
    Reg& r = reg(i + 1);
    const btf_type& type = *btf.skip_modifiers(params[i].type);
    if (is_int_or_enum(type)) {
      r.type = kScalar;
    } else if (!is_pointer(type)) {
      return reject(EINVAL, "Arg#{} type {} in {}() is not supported yet.\n", i, btf_kind_name(&type), name);
    } else if (is_ctx_type(btf, type, prog_type, i)) {
      r.type = kPtrToCtx;
    } else {
      u32 target;
      const btf_type& pointed = *btf.skip_modifiers(type.type, &target);
      Result<u32> size = btf.size_of(target);
      if (!size) {
        return reject(EINVAL, "arg#{} reference type('{} {}') size cannot be determined: {}\n", i,
                      btf_kind_name(&pointed), btf.type_name(target), -size.error().value);
      }
      r.type = kPtrToMem | kMaybeNull;
      r.detail = *size;
      r.id = new_id();
    }
  }
  return {};
}

// Do the registers fit the function's prototype? EINVAL: no, or there is none.
Check Checker::check_subprog_args(u32 subprog, bool calling) {
  if (func_info_.empty()) return fail(EINVAL);
  u32 id = func_info_[subprog].type_id;
  if (!id) return fail(EFAULT);
  FuncFacts& facts = func_facts_[subprog];
  if (facts.unreliable) return fail(EINVAL);
  auto fits = check_func_args(*request_.btf, id, facts.linkage == BTF_FUNC_GLOBAL, nullptr, calling);
  if (fits) return {};
  facts.unreliable = true;
  return std::unexpected(fits.error());
}

// Memory that the function may read and write.
Check Checker::check_memory_arg(const Btf& btf, u32 target, u32 index) {
  Result<u32> size = btf.size_of(target);
  if (!size) {
    return reject(EINVAL, "arg#{} reference type('{} {}') size cannot be determined: {}\n", index,
                  btf_kind_name(btf.type(target)), btf.type_name(target), -size.error().value);
  }
  if (!check_mem_reg(index + 1, *size)) return fail(EINVAL);
  return {};
}

// The register that a kernel function releases, 0 for none. `mem_ok`: pointers to memory may be passed.
Result<u32> Checker::check_func_args(const Btf& btf, u32 func_id, bool mem_ok, KfuncMeta* kfunc, bool calling) {
  constexpr size_t kMaxArgs = 5;
  bool in_kernel = btf.is_kernel();
  const btf_type* func = btf.type(func_id);
  if (!func || Btf::kind(*func) != BTF_KIND_FUNC) {
    return reject(EFAULT, "BTF of func_id {} doesn't point to KIND_FUNC\n", func_id);
  }
  const char* name = btf.string(func->name_off);
  const btf_type* proto = btf.type(func->type);
  if (!proto || Btf::kind(*proto) != BTF_KIND_FUNC_PROTO) return reject(EFAULT, "Invalid BTF of func {}\n", name);
  auto params = btf.params(*proto);
  if (params.size() > kMaxArgs) {
    return reject(EINVAL, "Function {} has {} > {} args\n", name, params.size(), kMaxArgs);
  }
  u32 flags = kfunc ? kfunc->flags : 0, ref_obj_id = 0, ref_reg = 0;
  bool trusted = flags & kKfuncTrustedArgs, releases = flags & kKfuncRelease;
  for (u32 i = 0; i < params.size(); ++i) {
    u32 number = i + 1;
    const Reg& r = reg(number);
    const btf_type& type = *btf.skip_modifiers(params[i].type);
    if (TRY(check_scalar_arg(btf, params[i], number, kfunc))) continue;
    if (!is_pointer(type)) return reject(EINVAL, "Unrecognized arg#{} type {}\n", i, btf_kind_name(&type));

    RegBase base = static_cast<RegBase>(base_type(r.type));
    bool socket = base == kPtrToSocket || base == kPtrToSockCommon || base == kPtrToTcpSock;
    bool object = r.type == kPtrToCtx || r.type == kPtrToBtfId || socket;
    if (in_kernel && trusted && object && r.type != kPtrToCtx && !r.ref_obj_id) {
      return reject(EINVAL, "R{} must be referenced\n", number);
    }
    ArgType arg_type = (trusted && object) || (releases && r.ref_obj_id) ? ArgType{kRelease} : ArgType{kArgNone};
    TRY(check_arg_offset(r, number, arg_type));
    if (in_kernel && r.ref_obj_id) {
      if (ref_obj_id) {
        return reject(EFAULT, "verifier internal error: more than one arg with ref_obj_id R{} {} {}\n", number,
                      r.ref_obj_id, ref_obj_id);
      }
      ref_reg = number;
      ref_obj_id = r.ref_obj_id;
    }
    u32 target;
    btf.skip_modifiers(type.type, &target);
    if (i == 0 && flags & kKfuncKptrGet) {
      TRY(check_kptr_get(btf, name, target));
    } else if (is_ctx_type(btf, type, info_.resolved_type(), i)) {
      if (r.type != kPtrToCtx) {
        return reject(EINVAL, "arg#{} expected pointer to ctx, but got {}\n", i, btf_kind_name(&type));
      }
    } else if (in_kernel && (r.type == kPtrToBtfId || (socket && !type_flags(r.type)))) {
      TRY(check_kfunc_pointer(btf, name, i, target, flags));
    } else if (mem_ok && calling) {
      if (in_kernel) {
        if (!TRY(check_kfunc_memory(btf, params, i, target))) TRY(check_memory_arg(btf, target, i));
      } else {
        TRY(check_memory_arg(btf, target, i));
      }
    } else {
      return reject(EINVAL, "reg type unsupported for arg#{} {}function {}#{}\n", i, in_kernel ? "kernel " : "", name,
                    func_id);
    }
  }
  if (releases && !ref_obj_id) {
    return reject(EINVAL, "release kernel function {} expects refcounted PTR_TO_BTF_ID\n", name);
  }
  if (flags & kKfuncSleepable && !info_.sleepable) {
    return reject(EINVAL, "kernel function {} is sleepable but the program is not\n", name);
  }
  if (kfunc && ref_obj_id) kfunc->ref_obj_id = ref_obj_id;
  return releases ? ref_reg : 0;
}

}  // namespace bpfemu

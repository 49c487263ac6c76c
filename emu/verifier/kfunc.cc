// SPDX-License-Identifier: Apache-2.0
// Calls of kernel functions (kernel: check_kfunc_call, add_kfunc_call).
#include <algorithm>
#include <string_view>

#include "emu/verifier/btf_access.h"
#include "emu/verifier/btf_kind.h"
#include "emu/verifier/checker.h"
#include "emu/verifier/fixup_calls.h"

namespace bpfemu {

namespace {

constexpr size_t kKfuncLimit = 256;

// Functions that programs may call, and the programs that may (BPF_PROG_TYPE_* as bits).
struct Kfunc {
  std::string_view name;
  u64 prog_types;
  u32 flags;
};
constexpr u64 kTracingHook = u64{1} << BPF_PROG_TYPE_TRACING;
constexpr u64 kStructOpsHook = u64{1} << BPF_PROG_TYPE_STRUCT_OPS;
constexpr u64 kTestHooks = kTracingHook | u64{1} << BPF_PROG_TYPE_SCHED_CLS | u64{1} << BPF_PROG_TYPE_SYSCALL;
constexpr Kfunc kKfuncs[] = {
#define KFUNC(name, prog_types, flags, function) {#name, prog_types, flags},
#define KFUNC_KNOWN(name, prog_types, flags) {#name, prog_types, flags},
#include "emu/abi/kfuncs.inc"
};

// LSM and tracing programs share a set (kernel: bpf_prog_type_to_kfunc_hook).
const Kfunc* find_kfunc(std::string_view name, u32 prog_type) {
  if (prog_type == BPF_PROG_TYPE_LSM) prog_type = BPF_PROG_TYPE_TRACING;
  auto it = std::find_if(std::begin(kKfuncs), std::end(kKfuncs),
                         [&](const Kfunc& f) { return f.name == name && f.prog_types >> prog_type & 1; });
  return it == std::end(kKfuncs) ? nullptr : it;
}

bool is_struct_pointer(const Btf& btf, const btf_type& type) {
  return is_pointer(type) && is_struct(*btf.skip_modifiers(type.type));
}

// A struct, at most four levels deep, with nothing but numbers in it.
bool is_scalar_struct(const Btf& btf, const btf_type& type, u32 depth, VerifierLog& log) {
  if (!is_struct(type)) return false;
  for (const btf_member& member : btf.members(type)) {
    const btf_type* t = btf.skip_modifiers(member.type);
    if (is_struct(*t)) {
      if (depth >= 3) {
        log.print("max struct nesting depth exceeded\n");
        return false;
      }
      if (!is_scalar_struct(btf, *t, depth + 1, log)) return false;
      continue;
    }
    if (Btf::kind(*t) == BTF_KIND_ARRAY) {
      const btf_array& array = btf.array(*t);
      if (!array.nelems) return false;
      t = btf.skip_modifiers(array.type);
    }
    if (!is_int_or_enum(*t)) return false;
  }
  return true;
}

// Sockets have a type of their own in the verifier and a struct in the kernel.
const char* socket_struct(RegType type) {
  switch (base_type(type)) {
    case kPtrToSocket: return "sock";
    case kPtrToSockCommon: return "sock_common";
    default: return "tcp_sock";
  }
}

}  // namespace

Result<const Btf*> Checker::kfunc_btf(s16 offset) {
  if (offset == 0) {
    if (!vmlinux()) return fail(ENOENT);
    return vmlinux();
  }
  if (offset < 0) {
    return reject(EINVAL, "negative offset disallowed for kernel module function call\n");
  }
  auto known = std::find_if(kfunc_btfs_.begin(), kfunc_btfs_.end(), [&](auto& b) { return b.first == offset; });
  if (known != kfunc_btfs_.end()) return known->second.get();
  if (kfunc_btfs_.size() == kKfuncLimit) return reject(E2BIG, "too many different module BTFs\n");
  if (!request_.fd_array) return reject(EPROTO, "kfunc offset > 0 without fd_array is invalid\n");
  int fd = TRY(request_.fd_array(static_cast<u32>(offset)));
  auto btf = request_.btf_by_fd(fd);
  if (!btf) {
    log_.print("invalid module BTF fd specified\n");
    return std::unexpected(btf.error());
  }
  // The model has no kernel modules: only vmlinux and programs have BTF.
  return reject(EINVAL, "BTF fd for kfunc is not a module BTF\n");
}

std::optional<std::string> Checker::kfunc_name(const Insn& insn) {
  if (insn.src_reg != BPF_PSEUDO_KFUNC_CALL) return std::nullopt;
  auto btf = kfunc_btf(insn.off);
  if (!btf) return "<error>";
  const char* name = (*btf)->type_name(static_cast<u32>(insn.imm));
  return name ? name : "";
}

// A call of a kernel function was seen: does it exist?
Check Checker::add_kfunc(u32 id, s16 offset) {
  if (kfuncs_.empty()) {
    if (!vmlinux()) {
      return reject(ENOTSUPP, "calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF\n");
    }
    if (!info_.gpl_compatible) {
      return reject(EINVAL, "cannot call kernel function from non-GPL compatible program\n");
    }
  }
  // What libbpf leaves for a weak function that is missing: fine unless it is reached.
  if (!id && !offset) return {};
  auto btf = kfunc_btf(offset);
  if (!btf) {
    log_.print("failed to find BTF for kernel function\n");
    return std::unexpected(btf.error());
  }
  if (std::find(kfuncs_.begin(), kfuncs_.end(), std::pair(id, offset)) != kfuncs_.end()) return {};
  if (kfuncs_.size() == kKfuncLimit) return reject(E2BIG, "too many different kernel function calls\n");
  const btf_type* func = (*btf)->type(id);
  if (!func || Btf::kind(*func) != BTF_KIND_FUNC) return reject(EINVAL, "kernel btf_id {} is not a function\n", id);
  const btf_type* proto = (*btf)->type(func->type);
  if (!proto || Btf::kind(*proto) != BTF_KIND_FUNC_PROTO) {
    return reject(EINVAL, "kernel function btf_id {} does not have a valid func_proto\n", id);
  }
  const char* name = (*btf)->string(func->name_off);
  if (!world_.ksym || !world_.ksym(name)) {
    return reject(EINVAL, "cannot find address for kernel function {}\n", name);
  }
  kfuncs_.emplace_back(id, offset);
  return {};
}

std::map<u32, std::string> Checker::kfunc_names() const {
  std::map<u32, std::string> names;
  for (auto [id, offset] : kfuncs_) names.emplace(id, vmlinux()->type_name(id));
  return names;
}

std::map<u32, const char*> Checker::helper_symbols(std::span<const Insn> insns) const {
  std::map<u32, const char*> symbols;
  for (const Insn& insn : insns) {
    if (!is_helper_call(insn) || is_inlined(info_, insn.imm)) continue;
    const u32 id = static_cast<u32>(insn.imm);
    const HelperProto* proto = ops_->helper ? ops_->helper(id, info_) : nullptr;
    if (proto && proto->symbol) symbols.emplace(id, proto->symbol);
  }
  return symbols;
}

// Calls of missing functions are fine only in code that cannot be reached, which is removed.
Check Checker::check_kfuncs_resolved() {
  for (u32 i = 0; i < insn_count(); ++i) {
    if (is_kfunc_call(insns_[i]) && !insns_[i].imm && aux_[i].seen) {
      return reject(EINVAL, "invalid kernel function call not eliminated in verifier pass\n");
    }
  }
  return {};
}

Result<bool> Checker::check_scalar_arg(const Btf& btf, const btf_param& param, u32 number, KfuncMeta* kfunc) {
  if (!is_int_or_enum(*btf.skip_modifiers(param.type))) return false;
  const Reg& r = reg(number);
  std::string_view name = btf.string(param.name_off);
  bool rdonly = name == "rdonly_buf_size";
  // This argument is the size of the memory that is returned.
  if (kfunc && r.is_scalar() && (rdonly || name == "rdwr_buf_size")) {
    kfunc->result_rdonly |= rdonly;
    if (kfunc->result_size) return reject(EINVAL, "2 or more rdonly/rdwr_buf_size parameters for kfunc");
    if (!r.var_off.is_const()) return reject(EINVAL, "R{} is not a const\n", number);
    kfunc->result_size = r.var_off.value;
    if (kfunc->result_size > ~u32{0}) {
      return reject(EINVAL, "R{} rdonly/rdwr_buf_size exceeds u32 max\n", number);
    }
    TRY(mark_precise(static_cast<s32>(number)));
  }
  if (!r.is_scalar()) return reject(EINVAL, "R{} is not a scalar\n", number);
  return true;
}

// The first argument is a place in a map that holds a referenced kptr.
Check Checker::check_kptr_get(const Btf& btf, const char* func, u32 target) {
  const Reg& r = reg(BPF_REG_1);
  if (r.type != kPtrToMapValue) return reject(EINVAL, "arg#0 expected pointer to map value\n");
  if (!r.var_off.is_const()) return reject(EINVAL, "arg#0 must have constant offset\n");
  const auto& kptrs = r.map()->kptrs;
  u64 at = static_cast<u64>(s64{r.off}) + r.var_off.value;
  auto kptr = std::find_if(kptrs.begin(), kptrs.end(), [&](const KptrField& k) { return k.offset == at; });
  if (kptr == kptrs.end() || !kptr->referenced) {
    return reject(EINVAL, "arg#0 no referenced kptr at map value offset={}\n", at);
  }
  const btf_type& pointer = *btf.type(target);
  if (!is_pointer(pointer)) return reject(EINVAL, "arg#0 BTF type must be a double pointer\n");
  u32 inner;
  const btf_type& type = *btf.skip_modifiers(pointer.type, &inner);
  if (!is_struct(type)) {
    return reject(EINVAL, "kernel function {} args#{} pointer type {} {} is not supported\n", func, 0,
                  btf_kind_name(&type), btf.type_name(inner));
  }
  if (!btf_struct_ids_match(btf, inner, 0, *kptr->btf, kptr->btf_id, true, log_)) {
    return reject(EINVAL, "kernel function {} args#{} expected pointer to {} {}\n", func, 0, btf_kind_name(&type),
                  btf.type_name(inner));
  }
  return {};
}

// A pointer to a kernel object.
Check Checker::check_kfunc_pointer(const Btf& btf, const char* func, u32 index, u32 target, u32 flags) {
  u32 number = index + 1;
  const Reg& r = reg(number);
  const btf_type& wanted = *btf.type(target);
  if (!is_struct(wanted)) {
    return reject(EINVAL, "kernel function {} args#{} pointer type {} {} is not supported\n", func, index,
                  btf_kind_name(&wanted), btf.type_name(target));
  }
  const Btf* own_btf = vmlinux();
  u32 own_id;
  if (r.type == kPtrToBtfId) {
    own_btf = r.btf();
    own_id = r.btf_id();
  } else {
    own_id = TRY(own_btf->find(socket_struct(r.type), BTF_KIND_STRUCT));
  }
  const btf_type& own = *own_btf->skip_modifiers(own_id, &own_id);
  bool strict = flags & kKfuncTrustedArgs || (flags & kKfuncRelease && r.ref_obj_id);
  if (!btf_struct_ids_match(*own_btf, own_id, r.off, btf, target, strict, log_)) {
    return reject(EINVAL, "kernel function {} args#{} expected pointer to {} {} but R{} has a pointer to {} {}\n", func,
                  index, btf_kind_name(&wanted), btf.type_name(target), number, btf_kind_name(&own),
                  own_btf->type_name(own_id));
  }
  return {};
}

// Memory, possibly with its size in the next argument ("__sz"), or a dynptr. True: all is checked.
Result<bool> Checker::check_kfunc_memory(const Btf& btf, std::span<const btf_param> params, u32 index, u32 target) {
  u32 number = index + 1;
  const Reg& r = reg(number);
  const btf_type& type = *btf.type(target);
  const char* name = btf.type_name(target);
  auto is_size_param = [&](const btf_param& param, const Reg& value) {
    return is_int_or_enum(*btf.skip_modifiers(param.type)) && value.is_scalar() &&
           std::string_view(btf.string(param.name_off)).ends_with("__sz");
  };
  bool sized = index + 1 < params.size() && is_size_param(params[index + 1], reg(number + 1));
  bool dynptr = is_struct(type) && std::string_view(name) == "bpf_dynptr_kern";
  if (!is_int_or_enum(type) && !is_scalar_struct(btf, type, 0, log_) && !dynptr && !(sized && is_void(type))) {
    return reject(EINVAL, "arg#{} pointer type {} {} must point to {}scalar, or struct with scalar\n", index,
                  btf_kind_name(&type), name, sized ? "void, " : "");
  }
  if (dynptr) {
    const char* what = r.type != kPtrToStack       ? "not to stack"
                       : !is_dynptr_initialized(r) ? "must be valid and initialized"
                       : !is_dynptr_of_type(r, u32{kArgPtrToDynptr} | kDynptrLocal)
                           ? "points to unsupported dynamic pointer type"
                           : nullptr;
    if (what) return reject(EINVAL, "arg#{} pointer type {} {} {}\n", index, btf_kind_name(&type), name, what);
    return true;
  }
  if (!sized) return false;
  Reg saved = r;
  if (saved.may_be_null()) mark_not_null(reg(number));
  CallMeta meta;
  Check fits = check_mem_size(number + 1, Access::kRead, true, meta);
  if (fits) fits = check_mem_size(number + 1, Access::kWrite, true, meta);
  if (saved.may_be_null()) reg(number) = saved;
  if (!fits) {
    return reject(EINVAL, "arg#{} arg#{} memory, len pair leads to invalid memory access\n", index, index + 1);
  }
  return true;
}

void Checker::mark_kfunc_reg(u32 number, u32 size) {
  Reg& r = reg(number);
  if (number == BPF_REG_0) {
    r.live |= kWritten;
    r.subreg_def = size == 8 ? kNotSubreg : static_cast<s32>(insn_ + 1);
    return;
  }
  if (size == 8) needs_zero_extension(r);
  (void)mark_read(r, size == 8 ? kRead64 : kRead32);
}

Check Checker::set_kfunc_result(const Btf& btf, const btf_type& proto, const char* func, const KfuncMeta& meta) {
  Reg& result = reg(BPF_REG_0);
  const btf_type& type = *btf.skip_modifiers(proto.type);
  bool acquires = meta.flags & kKfuncAcquire;
  if (acquires && !is_struct_pointer(btf, type)) {
    return reject(EINVAL, "acquire kernel function does not return PTR_TO_BTF_ID\n");
  }
  if (is_int_or_enum(type)) {
    mark_unknown(result);
    mark_kfunc_reg(BPF_REG_0, type.size);
    return {};
  }
  if (!is_pointer(type)) return {};
  u32 target;
  const btf_type& pointed = *btf.skip_modifiers(type.type, &target);
  if (!is_struct(pointed)) {
    if (!meta.result_size) {
      return reject(EINVAL, "kernel function {} returns pointer type {} {} is not supported\n", func,
                    btf_kind_name(&pointed), btf.type_name(target));
    }
    set_known(result, 0);
    result.type = kPtrToMem | (meta.result_rdonly ? kRdonly : 0);
    result.detail = static_cast<u32>(meta.result_size);
    if (meta.ref_obj_id) result.ref_obj_id = meta.ref_obj_id;
  } else {
    set_known(result, 0);
    result.type = kPtrToBtfId;
    result.point_to_btf(&btf, target);
  }
  if (meta.flags & kKfuncRetNull) {
    result.type |= kMaybeNull;
    result.id = new_id();
  }
  mark_kfunc_reg(BPF_REG_0, 8);
  if (acquires) result.id = result.ref_obj_id = acquire_reference(insn_);
  return {};
}

Check Checker::check_kfunc_call() {
  const Insn& insn = insns_[insn_];
  if (!insn.imm) return {};
  const Btf& btf = *TRY(kfunc_btf(insn.off));
  u32 id = static_cast<u32>(insn.imm);
  const btf_type& func = *btf.type(id);
  const char* name = btf.string(func.name_off);
  const btf_type& proto = *btf.type(func.type);
  const Kfunc* kfunc = find_kfunc(name, info_.resolved_type());
  if (!kfunc) return reject(EACCES, "calling kernel function {} is not allowed\n", name);
  if (kfunc->flags & kKfuncDestructive && !request_.caps.sys_boot) {
    return reject(EACCES, "destructive kfunc calls require CAP_SYS_BOOT capabilities\n");
  }
  KfuncMeta meta;
  meta.flags = kfunc->flags;
  if (u32 released = TRY(check_func_args(btf, id, true, &meta, true))) {
    if (Check done = release_reference(reg(released).ref_obj_id); !done) {
      log_.print("kfunc {}#{} reference has not been acquired before\n", name, id);
      return done;
    }
  }
  for (u32 i = BPF_REG_0; i <= BPF_REG_5; ++i) mark_not_init(reg(i));
  TRY(set_kfunc_result(btf, proto, name, meta));
  auto params = btf.params(proto);
  for (u32 i = 0; i < params.size(); ++i) {
    const btf_type& type = *btf.skip_modifiers(params[i].type);
    mark_kfunc_reg(i + 1, is_pointer(type) ? 8 : type.size);
  }
  return {};
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// What tracing, LSM, freplace and struct_ops programs attach to (kernel: bpf_check_attach_target, check_attach_btf_id).
#include <array>
#include <string_view>

#include "emu/bpf/iter_targets.h"
#include "emu/bpf/struct_ops.h"
#include "emu/verifier/btf_access_rules.h"
#include "emu/verifier/prog_types.h"

namespace bpfemu {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kTracePrefix = "btf_trace_";

bool is_struct(const btf_type& type) {
  return Btf::kind(type) == BTF_KIND_STRUCT || Btf::kind(type) == BTF_KIND_UNION;
}

// --- Iterators -----------------------------------------------------------------------------------------------------

RegType type_of(IterArgument::Kind kind) {
  switch (kind) {
    case IterArgument::Kind::kObject: return kPtrToBtfId | kMaybeNull;
    case IterArgument::Kind::kKey: return kPtrToBuf | kMaybeNull | kRdonly;
    default: return kPtrToBuf | kMaybeNull;
  }
}

// Kernel: bpf_iter_prog_supported.
Result<void> set_iterator_args(ProgInfo& prog) {
  const IterTarget* target = iter_target(prog.attach_func_name);
  if (!target) return fail(EINVAL);
  for (const IterArgument& argument : target->arguments) {
    if (argument.kind == IterArgument::Kind::kNone) continue;
    CtxArg ctx_arg{argument.offset, type_of(argument.kind), 0};
    if (argument.structure) ctx_arg.btf_id = prog.attach_btf->find(argument.structure, BTF_KIND_STRUCT).value_or(0);
    prog.ctx_args.push_back(ctx_arg);
  }
  return {};
}

// The part of check_attach_target for a target that is a BPF program: `reliable` says whether its BTF can be trusted.
Result<void> check_program_target(const ProgInfo& prog, const Program& target, u32 btf_id, std::string_view name,
                                  bool& reliable, VerifierLog& log) {
  bool extension = prog.type == BPF_PROG_TYPE_EXT;
  const auto& functions = target.verified.func_info;
  auto found = std::find_if(functions.begin(), functions.end(), [&](auto& info) { return info.type_id == btf_id; });
  if (found == functions.end()) return refuse(log, EINVAL, "Subprog {} doesn't exist\n", name);
  size_t index = static_cast<size_t>(found - functions.begin());
  const auto& unreliable = target.verified.unreliable_funcs;
  reliable = index >= unreliable.size() || !unreliable[index];
  if (extension && !reliable) return refuse(log, EINVAL, "Cannot replace static functions\n");
  if (target.type == prog.type) return refuse(log, EINVAL, "Cannot recursively attach\n");
  bool traces_functions = target.type == BPF_PROG_TYPE_TRACING && (target.expected_attach_type == BPF_TRACE_FENTRY ||
                                                                   target.expected_attach_type == BPF_TRACE_FEXIT);
  if (extension && traces_functions) return refuse(log, EINVAL, "Cannot extend fentry/fexit\n");
  return {};
}

// The distribution's kernel has no error injection list: of fmod_ret's targets only the LSM functions are left, and no
// function may be traced by a program that sleeps.
Result<void> check_function_rights(const ProgInfo& prog, const Program* target, std::string_view name,
                                   VerifierLog& log) {
  if (prog.sleepable) {
    if (prog.type == BPF_PROG_TYPE_LSM && is_sleepable_lsm_hook(name)) return {};
    return refuse(log, EINVAL, "{} is not sleepable\n", name);
  }
  if (prog.expected_attach_type != BPF_MODIFY_RETURN) return {};
  if (target) return refuse(log, EINVAL, "can't modify return codes of BPF programs\n");
  if (!name.starts_with("security_")) return refuse(log, EINVAL, "{}() is not modifiable\n", name);
  return {};
}

Result<AttachTarget> function_target(const ProgInfo& prog, const Program* target, const Btf& btf,
                                     const btf_type& function, u32 btf_id, bool reliable, const OwnFunction& main,
                                     VerifierLog& log) {
  AttachTarget result;
  result.name = btf.string(function.name_off);
  if (Btf::kind(function) != BTF_KIND_FUNC) {
    return refuse(log, EINVAL, "attach_btf_id {} is not a function\n", btf_id);
  }
  if (prog.type == BPF_PROG_TYPE_EXT && !check_replacement(main, btf, function, log)) return fail(EINVAL);
  const btf_type* proto = btf.type(function.type);
  if (!proto || Btf::kind(*proto) != BTF_KIND_FUNC_PROTO) return fail(EINVAL);
  if ((prog.saved_dst_prog_type || prog.saved_dst_attach_type) &&
      (!target || prog.saved_dst_prog_type != target->type ||
       prog.saved_dst_attach_type != target->expected_attach_type)) {
    return fail(EINVAL);
  }
  if (!target || reliable) {
    TRY(check_function_model(btf, *proto, result.name, log));
    result.func_proto = proto;
  }
  if (!target) {
    result.address = prog.world->ksym ? prog.world->ksym(result.name) : 0;
    if (result.address == 0) {
      return refuse(log, ENOENT, "The address of function {} cannot be found\n", result.name);
    }
  }
  TRY(check_function_rights(prog, target, result.name, log));
  return result;
}

Result<AttachTarget> tracepoint_target(const ProgInfo&, const Program* target, const Btf& btf, const btf_type& type,
                                       u32 btf_id, VerifierLog& log) {
  if (target) return refuse(log, EINVAL, "Only FENTRY/FEXIT progs are attachable to another BPF prog\n");
  if (Btf::kind(type) != BTF_KIND_TYPEDEF) {
    return refuse(log, EINVAL, "attach_btf_id {} is not a typedef\n", btf_id);
  }
  std::string_view name = btf.string(type.name_off);
  if (!name.starts_with(kTracePrefix)) {
    return refuse(log, EINVAL, "attach_btf_id {} points to wrong type name {}\n", btf_id, name);
  }
  const btf_type* pointer = btf.type(type.type);
  if (!pointer || Btf::kind(*pointer) != BTF_KIND_PTR) return fail(EINVAL);
  const btf_type* proto = btf.type(pointer->type);
  if (!proto || Btf::kind(*proto) != BTF_KIND_FUNC_PROTO) return fail(EINVAL);
  return AttachTarget{proto, std::string(name.substr(kTracePrefix.size())), 0};
}

Result<AttachTarget> iterator_target(const Btf& btf, const btf_type& function, u32 btf_id, VerifierLog& log) {
  if (Btf::kind(function) != BTF_KIND_FUNC) {
    return refuse(log, EINVAL, "attach_btf_id {} is not a function\n", btf_id);
  }
  const btf_type* proto = btf.type(function.type);
  if (!proto || Btf::kind(*proto) != BTF_KIND_FUNC_PROTO) return fail(EINVAL);
  const char* name = btf.string(function.name_off);
  TRY(check_function_model(btf, *proto, name, log));
  return AttachTarget{proto, name, 0};
}

// --- struct_ops ----------------------------------------------------------------------------------------------------

// Kernel: check_struct_ops_btf_id. The expected attach type is the number of a member.
Result<void> check_struct_ops(ProgInfo& prog, VerifierLog& log) {
  if (!prog.gpl_compatible) {
    return refuse(log, EINVAL, "struct ops programs must have a GPL compatible license\n");
  }
  const Btf* btf = prog.attach_btf.get();
  const btf_type* type = btf ? btf->type(prog.attach_btf_id) : nullptr;
  std::string_view name = type && is_struct(*type) ? btf->string(type->name_off) : "";
  if (!is_struct_ops(name)) {
    return refuse(log, ENOTSUPP, "attach_btf_id {} is not a supported struct\n", prog.attach_btf_id);
  }
  auto members = btf->members(*type);
  u32 index = prog.expected_attach_type;
  if (index >= members.size()) {
    return refuse(log, EINVAL, "attach to invalid member idx {} of struct {}\n", index, name);
  }
  const char* member_name = btf->string(members[index].name_off);
  const btf_type* pointer = btf->skip_modifiers(members[index].type);
  const btf_type* proto = pointer && Btf::kind(*pointer) == BTF_KIND_PTR ? btf->skip_modifiers(pointer->type) : nullptr;
  if (!proto || Btf::kind(*proto) != BTF_KIND_FUNC_PROTO) {
    return refuse(log, EINVAL, "attach to invalid member {}(@idx {}) of struct {}\n", member_name, index, name);
  }
  if (name == "tcp_congestion_ops" && member_name == "get_info"sv) {
    return refuse(log, ENOTSUPP, "attach to unsupported member {} of struct {}\n", member_name, name);
  }
  prog.attach_func_proto = proto;
  prog.attach_func_name = member_name;
  return {};
}

// Functions that a trampoline itself needs (kernel: btf_id_deny).
bool is_denied(const ProgInfo& prog) {
  constexpr std::array kDenied{"migrate_disable"sv, "migrate_enable"sv, "rcu_read_unlock_strict"sv};
  return !prog.dst_prog && contains(kDenied, prog.attach_func_name);
}

Result<void> check_sleepable(const ProgInfo& prog, VerifierLog& log) {
  if (!prog.sleepable) return {};
  if (prog.type != BPF_PROG_TYPE_TRACING && prog.type != BPF_PROG_TYPE_LSM && prog.type != BPF_PROG_TYPE_KPROBE) {
    return refuse(log, EINVAL, "Only fentry/fexit/fmod_ret, lsm, and kprobe/uprobe programs can be sleepable\n");
  }
  if (prog.type == BPF_PROG_TYPE_LSM && prog.expected_attach_type == BPF_LSM_CGROUP) {
    return refuse(log, EINVAL, "BPF_LSM_CGROUP programs cannot be sleepable\n");
  }
  return {};
}

}  // namespace

Result<AttachTarget> check_attach_target(const ProgInfo& prog, const Program* target, u32 btf_id,
                                         const OwnFunction& main, VerifierLog& log) {
  if (btf_id == 0) return refuse(log, EINVAL, "Tracing programs must provide btf_id\n");
  const Btf* btf = target ? target->btf.get() : prog.attach_btf.get();
  if (!btf) {
    return refuse(log, EINVAL, "FENTRY/FEXIT program can only be attached to another program annotated with BTF\n");
  }
  const btf_type* type = btf->type(btf_id);
  if (!type) return refuse(log, EINVAL, "attach_btf_id {} is invalid\n", btf_id);
  const char* name = btf->string(type->name_off);
  if (!name) return refuse(log, EINVAL, "attach_btf_id {} doesn't have a name\n", btf_id);
  bool reliable = true;
  if (target) {
    TRY(check_program_target(prog, *target, btf_id, name, reliable, log));
  } else if (prog.type == BPF_PROG_TYPE_EXT) {
    return refuse(log, EINVAL, "Cannot replace kernel functions\n");
  }
  switch (prog.expected_attach_type) {
    case BPF_TRACE_RAW_TP: return tracepoint_target(prog, target, *btf, *type, btf_id, log);
    case BPF_TRACE_ITER: return iterator_target(*btf, *type, btf_id, log);
    case BPF_MODIFY_RETURN:
    case BPF_LSM_MAC:
    case BPF_LSM_CGROUP:
    case BPF_TRACE_FENTRY:
    case BPF_TRACE_FEXIT: break;
    default:
      if (prog.type != BPF_PROG_TYPE_EXT) return fail(EINVAL);
  }
  return function_target(prog, target, *btf, *type, btf_id, reliable, main, log);
}

Result<void> set_attach_target(ProgInfo& prog, const OwnFunction& main, VerifierLog& log) {
  if (prog.type == BPF_PROG_TYPE_SYSCALL) {
    if (prog.sleepable) return {};
    return refuse(log, EINVAL, "Syscall programs can only be sleepable\n");
  }
  TRY(check_sleepable(prog, log));
  if (prog.type == BPF_PROG_TYPE_STRUCT_OPS) return check_struct_ops(prog, log);
  if (prog.type != BPF_PROG_TYPE_TRACING && prog.type != BPF_PROG_TYPE_LSM && prog.type != BPF_PROG_TYPE_EXT) {
    return {};
  }
  const Program* target = prog.dst_prog.get();
  AttachTarget found = TRY(check_attach_target(prog, target, prog.attach_btf_id, main, log));
  if (target && prog.type == BPF_PROG_TYPE_EXT) prog.expected_attach_type = target->expected_attach_type;
  prog.attach_func_proto = found.func_proto;
  prog.attach_func_name = found.name;
  if (target) {
    prog.saved_dst_prog_type = target->type;
    prog.saved_dst_attach_type = target->expected_attach_type;
  }
  if (prog.expected_attach_type == BPF_TRACE_RAW_TP) {
    prog.attach_btf_trace = true;
    return {};
  }
  if (prog.expected_attach_type == BPF_TRACE_ITER) return set_iterator_args(prog);
  if (prog.type == BPF_PROG_TYPE_LSM) return check_lsm_hook(prog, log);
  if (prog.type == BPF_PROG_TYPE_TRACING && is_denied(prog)) return fail(EINVAL);
  return {};
}

}  // namespace bpfemu

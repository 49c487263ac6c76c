// SPDX-License-Identifier: Apache-2.0
// Context arguments whose types BTF gives (kernel: btf_ctx_access).
#include <string_view>

#include "emu/base/bytes.h"
#include "emu/verifier/btf_access.h"
#include "emu/verifier/prog_types.h"

namespace bpfemu {
namespace {

constexpr u32 kMaxRegArguments = 5;  // kernel: MAX_BPF_FUNC_REG_ARGS

bool is_struct(const btf_type& type) {
  return Btf::kind(type) == BTF_KIND_STRUCT || Btf::kind(type) == BTF_KIND_UNION;
}

bool is_small_int(const btf_type& type) {
  return Btf::kind(type) == BTF_KIND_INT && type.size <= 8;
}

bool is_number(const btf_type& type) {
  u32 kind = Btf::kind(type);
  return is_small_int(type) || kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64 || kind == BTF_KIND_STRUCT;
}

// Which argument lies at an offset; one past the last is the result (kernel: get_ctx_arg_idx).
u32 argument_at(const Btf& btf, const btf_type* proto, u32 off) {
  if (!proto) return off / 8;
  auto words = [&](u32 id) -> u32 {
    const btf_type* type = btf.skip_modifiers(id);
    if (!type || Btf::kind(*type) == BTF_KIND_PTR) return 8;
    return static_cast<u32>(round_up(type->size, 8));
  };
  u32 end = 0, i = 0;
  for (const btf_param& param : btf.params(*proto)) {
    end += words(param.type);
    if (off < end) return i;
    ++i;
  }
  return off < end + words(proto->type) ? i : i + 1;
}

// The type tag of a pointer's target, as flags of the register.
u32 tag_flags(const Btf& btf, const btf_type* target) {
  if (!target || Btf::kind(*target) != BTF_KIND_TYPE_TAG) return 0;
  std::string_view tag = btf.string(target->name_off);
  return tag == "user" ? kUser : tag == "percpu" ? kPercpu : 0;
}

// A pointer argument: what the register that holds it becomes.
bool pointer_argument(const ProgInfo& prog, const Btf& btf, const btf_type& pointer, u32 off, u32 arg, VerifierLog& log,
                      CtxAccess& info) {
  for (const CtxArg& known : prog.ctx_args) {
    if (known.offset != off || base_type(known.reg_type) != kPtrToBuf || !(known.reg_type & kMaybeNull)) continue;
    info.reg_type = known.reg_type;
    return true;
  }
  // A pointer to void or to a number is as good as a number.
  if (pointer.type == 0) return true;
  const btf_type* target = btf.skip_modifiers(pointer.type);
  if (target && Btf::kind(*target) == BTF_KIND_INT) return true;

  for (const CtxArg& known : prog.ctx_args) {
    if (known.offset != off) continue;
    if (known.btf_id == 0) {
      log.print("invalid btf_id for context argument offset {}\n", off);
      return false;
    }
    info.reg_type = known.reg_type;
    info.btf = prog.world->vmlinux.get();
    info.btf_id = known.btf_id;
    return true;
  }

  info.reg_type = kPtrToBtfId;
  if (prog.dst_prog) {
    // Attached or not, a replacement is what it was loaded for.
    u32 type = prog.dst_prog->type == BPF_PROG_TYPE_EXT ? prog.dst_prog->target_type : prog.dst_prog->type;
    const Btf* vmlinux = prog.world->vmlinux.get();
    auto id = vmlinux ? kernel_ctx_struct(*vmlinux, btf, pointer, type, arg, log) : fail(ENOENT);
    if (!id) return false;
    info.btf = vmlinux;
    info.btf_id = *id;
    return true;
  }

  info.btf = &btf;
  info.reg_type |= tag_flags(btf, btf.type(pointer.type));
  u32 id = 0;
  target = btf.skip_modifiers(pointer.type, &id);
  info.btf_id = id;
  if (!target || !is_struct(*target)) {
    log.print("func '{}' arg{} type {} is not a struct\n", prog.attach_func_name, arg, btf_kind_name(target));
    return false;
  }
  log.print("func '{}' arg{} has btf_id {} type {} '{}'\n", prog.attach_func_name, arg, id, btf_kind_name(target),
            btf.string(target->name_off));
  return true;
}

// Programs that run after the function see its result behind the arguments.
bool may_see_result(const ProgInfo& prog, const Btf& btf, const btf_type* proto, u32 arg, VerifierLog& log) {
  switch (prog.expected_attach_type) {
    case BPF_LSM_CGROUP:
    case BPF_LSM_MAC:
    case BPF_TRACE_FEXIT: return true;
    case BPF_MODIFY_RETURN: {
      if (!proto) return false;
      const btf_type* type = btf.skip_modifiers(proto->type);
      if (type && is_small_int(*type)) return true;
      log.print("ret type {} not allowed for fmod_ret\n", btf_kind_name(type));
      return false;
    }
    default: log.print("func '{}' doesn't have {}-th argument\n", prog.attach_func_name, arg + 1); return false;
  }
}

}  // namespace

bool btf_ctx_access(int off, int, Access, const ProgInfo& prog, VerifierLog& log, CtxAccess& info) {
  const Btf* btf = prog.dst_prog ? prog.dst_prog->btf.get() : prog.attach_btf.get();
  const btf_type* proto = prog.attach_func_proto;
  if (off % 8 != 0) {
    log.print("func '{}' offset {} is not multiple of 8\n", prog.attach_func_name, off);
    return false;
  }
  if (!btf) return false;
  std::span<const btf_param> params;
  if (proto) params = btf->params(*proto);
  u32 arg = argument_at(*btf, proto, static_cast<u32>(off));
  u32 count = proto ? static_cast<u32>(params.size()) : kMaxRegArguments;
  if (prog.attach_btf_trace && count > 0) {
    params = params.subspan(1);  // the probe's own void *__data
    --count;
  }
  if (arg > count) {
    log.print("func '{}' doesn't have {}-th argument\n", prog.attach_func_name, arg + 1);
    return false;
  }
  if (arg == count && !may_see_result(prog, *btf, proto, arg, log)) return false;
  if (!proto) return true;  // a function that BTF does not describe: all are numbers
  const btf_type* type = btf->skip_modifiers(arg == count ? proto->type : params[arg].type);
  if (!type) return false;
  if (is_number(*type)) return true;
  if (Btf::kind(*type) != BTF_KIND_PTR) {
    log.print("func '{}' arg{} '{}' has type {}. Only pointer access is allowed\n", prog.attach_func_name, arg,
              btf->string(type->name_off), btf_kind_name(type));
    return false;
  }
  return pointer_argument(prog, *btf, *type, static_cast<u32>(off), arg, log, info);
}

// The kernel's BTF holds a struct bpf_ctx_convert with two members a program type: what the program sees, what the
// kernel has.
Result<u32> kernel_ctx_struct(const Btf& vmlinux, const Btf& btf, const btf_type& pointer, u32 prog_type, u32 arg,
                              VerifierLog& log) {
  auto table = vmlinux.find("bpf_ctx_convert", BTF_KIND_STRUCT);
  const ProgTypeEntry* entry = prog_type_entry(prog_type);
  if (!table || !entry) {
    log.print("btf_vmlinux is malformed\n");
    return fail(ENOENT);
  }
  const btf_type* type = btf.skip_modifiers(pointer.type);
  if (!type || !is_struct(*type)) return fail(ENOENT);
  const char* name = btf.string(type->name_off);
  if (!name) {
    log.print("arg#{} struct doesn't have a name\n", arg);
    return fail(ENOENT);
  }
  std::string wanted = "BPF_PROG_TYPE_";
  for (const char* c = entry->name; *c; ++c) wanted += *c >= 'a' && *c <= 'z' ? static_cast<char>(*c - 'a' + 'A') : *c;
  auto members = vmlinux.members(*vmlinux.type(*table));
  for (size_t i = 0; i + 1 < members.size(); ++i) {
    if (wanted + "_prog" != vmlinux.string(members[i].name_off)) continue;
    // A typedef (bpf_user_pt_regs_t) goes by its own name and by the struct's.
    for (u32 id = members[i].type; const btf_type* seen = vmlinux.type(id); id = seen->type) {
      if (std::string_view(vmlinux.string(seen->name_off)) == name) return members[i + 1].type;
      if (Btf::kind(*seen) != BTF_KIND_TYPEDEF) break;
    }
  }
  return fail(ENOENT);
}

}  // namespace bpfemu

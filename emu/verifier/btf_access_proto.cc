// SPDX-License-Identifier: Apache-2.0
// Prototypes of functions that programs attach to or replace.
#include "emu/verifier/btf_access_rules.h"

namespace bpfemu {
namespace {

bool is_struct(const btf_type& type) {
  return Btf::kind(type) == BTF_KIND_STRUCT || Btf::kind(type) == BTF_KIND_UNION;
}

// Size of an argument or result: EINVAL when it has none that registers could hold. `type` is its real type.
Result<u32> value_size(const Btf& btf, u32 id, const btf_type*& type) {
  type = btf.type(0);
  if (id == 0) return 0;
  const btf_type* real = btf.skip_modifiers(id);
  if (!real) return fail(EINVAL);
  type = real;
  switch (Btf::kind(*real)) {
    case BTF_KIND_PTR: return 8;
    case BTF_KIND_INT:
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
    case BTF_KIND_STRUCT: return real->size;
    default: return fail(EINVAL);
  }
}

}  // namespace

Result<void> check_function_model(const Btf& btf, const btf_type& proto, std::string_view name, VerifierLog& log) {
  constexpr u32 kMaxArguments = 12, kMaxArgumentSize = 16;
  auto params = btf.params(proto);
  if (params.size() > kMaxArguments) {
    return refuse(log, EINVAL, "The function {} has {} arguments. Too many.\n", name, params.size());
  }
  const btf_type* type = nullptr;
  auto size = value_size(btf, proto.type, type);
  if (!size || Btf::kind(*type) == BTF_KIND_STRUCT) {
    return refuse(log, EINVAL, "The function {} return type {} is unsupported.\n", name, btf_kind_name(type));
  }
  for (size_t i = 0; i < params.size(); ++i) {
    if (i + 1 == params.size() && params[i].type == 0) {
      return refuse(log, EINVAL, "The function {} with variable args is unsupported.\n", name);
    }
    size = value_size(btf, params[i].type, type);
    if (!size || *size > kMaxArgumentSize) {
      return refuse(log, EINVAL, "The function {} arg{} type {} is unsupported.\n", name, i, btf_kind_name(type));
    }
    if (*size == 0) return refuse(log, EINVAL, "The function {} has malformed void argument.\n", name);
  }
  return {};
}

namespace {

bool has_size(const btf_type& type) {
  switch (Btf::kind(type)) {
    case BTF_KIND_INT:
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
    case BTF_KIND_DATASEC:
    case BTF_KIND_FLOAT: return true;
    default: return false;
  }
}

// One side of the comparison of a freplace function with its target.
struct Side {
  const Btf& btf;
  const btf_type& function;
  const char* name() const { return btf.string(function.name_off); }
  const btf_type* real(u32 id) const { return btf.skip_modifiers(id); }
};

Result<void> check_same_argument(const Side& a, u32 a_id, const Side& b, u32 b_id, size_t i, VerifierLog& log) {
  const btf_type *ta = a.real(a_id), *tb = b.real(b_id);
  if (!ta || !tb) return fail(EINVAL);
  if (ta->info != tb->info) {
    return refuse(log, EINVAL, "arg{} in {}() is {} while {}() has {}\n", i, a.name(), btf_kind_name(ta), b.name(),
                  btf_kind_name(tb));
  }
  if (has_size(*ta) && ta->size != tb->size) {
    return refuse(log, EINVAL, "arg{} in {}() has size {} while {}() has {}\n", i, a.name(), ta->size, b.name(),
                  tb->size);
  }
  u32 kind = Btf::kind(*ta);
  if (kind == BTF_KIND_INT || kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64) return {};
  if (kind != BTF_KIND_PTR) return refuse(log, EINVAL, "arg{} in {}() has unrecognized type\n", i, a.name());
  ta = a.real(ta->type), tb = b.real(tb->type);
  for (auto [type, side] : {std::pair{ta, &a}, std::pair{tb, &b}}) {
    if (!type || !is_struct(*type)) {
      return refuse(log, EINVAL, "arg{} in {}() is not a pointer to context\n", i, side->name());
    }
  }
  std::string_view sa = a.btf.string(ta->name_off), sb = b.btf.string(tb->name_off);
  if (sa != sb) {
    return refuse(log, EINVAL, "arg{} {}(struct {} *) doesn't match {}(struct {} *)\n", i, a.name(), sa, b.name(), sb);
  }
  return {};
}

}  // namespace

Result<void> check_replacement(const OwnFunction& main, const Btf& btf, const btf_type& function, VerifierLog& log) {
  if (!main.btf) return refuse(log, EINVAL, "Program extension requires BTF\n");
  const btf_type* own = main.func_id ? main.btf->type(main.func_id) : nullptr;
  if (!own || Btf::kind(*own) != BTF_KIND_FUNC) return fail(EINVAL);
  Side a{*main.btf, *own}, b{btf, function};
  for (const Side* side : {&a, &b}) {
    if (Btf::vlen(side->function) != BTF_FUNC_GLOBAL) {
      return refuse(log, EINVAL, "{}() is not a global function\n", side->name());
    }
  }
  const btf_type *pa = a.btf.type(own->type), *pb = b.btf.type(function.type);
  if (!pa || !pb) return fail(EINVAL);
  auto args_a = a.btf.params(*pa), args_b = b.btf.params(*pb);
  if (args_a.size() != args_b.size()) {
    return refuse(log, EINVAL, "{}() has {} args while {}() has {} args\n", a.name(), args_a.size(), b.name(),
                  args_b.size());
  }
  const btf_type *ra = a.real(pa->type), *rb = b.real(pb->type);
  if (!ra || !rb || ra->info != rb->info) {
    return refuse(log, EINVAL, "Return type {} of {}() doesn't match type {} of {}()\n", btf_kind_name(ra), a.name(),
                  btf_kind_name(rb), b.name());
  }
  for (size_t i = 0; i < args_a.size(); ++i) TRY(check_same_argument(a, args_a[i].type, b, args_b[i].type, i, log));
  return {};
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// What types refer to: every chain must end in something, without loops, and members must fit into their structs.
#include "emu/btf/btf_check.h"

namespace bpfemu {

namespace {

u32 kind_of(const btf_type& type) {
  return Btf::kind(type);
}
bool is_void(const btf_type& type) {
  return kind_of(type) == BTF_KIND_UNKN;
}

// Types that may refer to others but that nothing may refer to in a chain (kernel: btf_type_is_resolve_source_only).
bool is_source_only(const btf_type& type) {
  return kind_of(type) == BTF_KIND_VAR || kind_of(type) == BTF_KIND_DECL_TAG || kind_of(type) == BTF_KIND_DATASEC;
}
// kernel: btf_type_nosize_or_null.
bool has_no_size(const btf_type* type) {
  if (!type || is_void(*type)) return true;
  u32 kind = kind_of(*type);
  return kind == BTF_KIND_FWD || kind == BTF_KIND_FUNC || kind == BTF_KIND_FUNC_PROTO || kind == BTF_KIND_DECL_TAG;
}
bool may_end_chain(const btf_type& type) {
  return is_void(type) || kind_of(type) == BTF_KIND_FWD || kind_of(type) == BTF_KIND_FUNC_PROTO;
}
bool is_int(const btf_type& type) {
  return kind_of(type) == BTF_KIND_INT;
}

}  // namespace

// kernel: btf_check_all_types.
Result<void> BtfCheck::all_types() {
  u32 count = btf_.type_count();
  visits_.assign(count, Visit::kNot);
  resolved_ids_.assign(count, 0);
  resolved_sizes_.assign(count, 0);
  resolving_ = true;
  for (u32 id = 1; id < count; ++id) {
    breathe_();
    shown_id_ = id;
    const btf_type& type = *btf_.type(id);
    if (checks(type).resolve && !is_resolved(id)) TRY(resolve(id));
    if (kind_of(type) == BTF_KIND_FUNC_PROTO) TRY(prototype(id));
  }
  return {};
}

// Depth first, on a stack of our own (kernel: btf_resolve).
Result<void> BtfCheck::resolve(u32 id) {
  u32 shown = std::exchange(shown_id_, id);
  mode_ = Mode::kUndecided;
  stack_.clear();
  Result<void> result = push(id);
  while (result && !stack_.empty()) {
    breathe_();
    Vertex top = stack_.back();
    shown_id_ = top.id;
    result = (this->*checks(*btf_.type(top.id)).resolve)(top);
  }
  shown_id_ = id;
  if (!result && result.error().value == E2BIG) {
    describe(*btf_.type(id), fmt::format("Exceeded max resolving depth:{}", kMaxResolveDepth));
  } else if (!result && result.error().value == EEXIST) {
    describe(*btf_.type(id), "Loop detected");
  }
  shown_id_ = shown;
  return result;
}

// kernel: env_stack_push.
Result<void> BtfCheck::push(u32 id) {
  if (stack_.size() == kMaxResolveDepth) return fail(E2BIG);
  if (visits_[id] != Visit::kNot) return fail(EEXIST);
  visits_[id] = Visit::kOpen;
  stack_.push_back({id, 0});
  const btf_type& type = *btf_.type(id);
  if (mode_ == Mode::kUndecided) {
    if (kind_of(type) == BTF_KIND_PTR) mode_ = Mode::kPointer;
    if (btf_is_struct(type) || kind_of(type) == BTF_KIND_ARRAY) mode_ = Mode::kStructOrArray;
  }
  return {};
}

void BtfCheck::pop(u32 resolved_id, u32 resolved_size) {
  u32 id = stack_.back().id;
  stack_.pop_back();
  visits_[id] = Visit::kResolved;
  resolved_ids_[id] = resolved_id;
  resolved_sizes_[id] = resolved_size;
}

// kernel: env_type_is_resolve_sink.
bool BtfCheck::is_sink(const btf_type& type) const {
  switch (mode_) {
    case Mode::kUndecided: return !checks(type).resolve;
    case Mode::kPointer: return !btf_is_modifier(type) && kind_of(type) != BTF_KIND_PTR;
    case Mode::kStructOrArray: return !btf_is_modifier(type) && kind_of(type) != BTF_KIND_ARRAY && !btf_is_struct(type);
  }
  return true;
}

// The type behind modifiers and variables that has a size, null when there is none; `id` becomes its id.
const btf_type* BtfCheck::sized(u32& id, u32* size) const {
  u32 found_id = id;
  const btf_type* type = btf_.type(found_id);
  if (has_no_size(type)) return nullptr;
  if (btf_is_modifier(*type) || kind_of(*type) == BTF_KIND_VAR) {
    found_id = resolved_ids_[found_id];
    type = btf_.type(found_id);
    if (has_no_size(type)) return nullptr;
  }
  u32 found_size;
  if (kBtfKinds[kind_of(*type)].has_size) {
    found_size = type->size;
  } else if (kind_of(*type) == BTF_KIND_ARRAY) {
    found_size = resolved_sizes_[found_id];
  } else if (kind_of(*type) == BTF_KIND_PTR) {
    found_size = sizeof(void*);
  } else {
    return nullptr;
  }
  id = found_id;
  if (size) *size = found_size;
  return type;
}

// A modifier that was resolved within a struct may have stopped at a pointer, from which a pointer's or variable's own
// resolution has to go on. True when that pointer was pushed.
Result<bool> BtfCheck::continue_pointer(u32 id) {
  if (!btf_is_modifier(*btf_.type(id))) return false;
  u32 end = resolved_ids_[id];
  if (kind_of(*btf_.type(end)) != BTF_KIND_PTR || !must_resolve(end)) return false;
  TRY(push(end));
  return true;
}

// Ends the resolution of a modifier or pointer to `next`.
Result<void> BtfCheck::end_of_chain(const btf_type& type, u32 next) {
  if (!sized(next)) {
    if (is_resolved(next)) next = resolved_ids_[next];
    if (!may_end_chain(*btf_.type(next))) return refuse(type, "Invalid type_id");
  }
  pop(next, 0);
  return {};
}

Result<void> BtfCheck::resolve_modifier(Vertex vertex) {
  const btf_type& type = *btf_.type(vertex.id);
  const btf_type* next = btf_.type(type.type);
  if (!next || is_source_only(*next)) return refuse(type, "Invalid type_id");
  if (must_resolve(type.type)) return push(type.type);
  return end_of_chain(type, type.type);
}

Result<void> BtfCheck::resolve_pointer(Vertex vertex) {
  const btf_type& type = *btf_.type(vertex.id);
  const btf_type* next = btf_.type(type.type);
  if (!next || is_source_only(*next)) return refuse(type, "Invalid type_id");
  if (must_resolve(type.type)) return push(type.type);
  if (TRY(continue_pointer(type.type))) return {};
  return end_of_chain(type, type.type);
}

Result<void> BtfCheck::resolve_variable(Vertex vertex) {
  const btf_type& type = *btf_.type(vertex.id);
  const btf_type* next = btf_.type(type.type);
  if (!next || is_source_only(*next)) return refuse(type, "Invalid type_id");
  if (must_resolve(type.type)) return push(type.type);
  if (TRY(continue_pointer(type.type))) return {};
  u32 id = type.type;
  if (!sized(id)) return refuse(type, "Invalid type_id");
  pop(id, 0);
  return {};
}

Result<void> BtfCheck::resolve_array(Vertex vertex) {
  const btf_type& type = *btf_.type(vertex.id);
  const btf_array& array = btf_.array(type);

  const btf_type* index = btf_.type(array.index_type);
  if (has_no_size(index) || is_source_only(*index)) return refuse(type, "Invalid index");
  if (must_resolve(array.index_type)) return push(array.index_type);
  u32 id = array.index_type;
  index = sized(id);
  if (!index || !is_int(*index) || !btf_int_is_regular(*index)) return refuse(type, "Invalid index");

  const btf_type* element = btf_.type(array.type);
  if (has_no_size(element) || is_source_only(*element)) return refuse(type, "Invalid elem");
  if (must_resolve(array.type)) return push(array.type);
  u32 size = 0;
  id = array.type;
  element = sized(id, &size);
  if (!element) return refuse(type, "Invalid elem");
  if (is_int(*element) && !btf_int_is_regular(*element)) return refuse(type, "Invalid array of int");
  if (u64{size} * array.nelems > ~u32{0}) return refuse(type, "Array size overflows U32_MAX");
  pop(id, size * array.nelems);
  return {};
}

Result<void> BtfCheck::resolve_struct(Vertex vertex) {
  const btf_type& type = *btf_.type(vertex.id);
  auto members = btf_.members(type);
  for (u32 i = vertex.next; i < members.size(); ++i) {
    const btf_type* inner = btf_.type(members[i].type);
    if (has_no_size(inner) || is_source_only(*inner)) return refuse_member(type, members[i], "Invalid member");
    if (must_resolve(members[i].type)) {
      stack_.back().next = i;
      return push(members[i].type);
    }
    TRY(place(type, members[i], members[i].type));
  }
  pop(0, 0);
  return {};
}

Result<void> BtfCheck::resolve_datasec(Vertex vertex) {
  const btf_type& type = *btf_.type(vertex.id);
  std::span variables(reinterpret_cast<const btf_var_secinfo*>(&type + 1), Btf::vlen(type));
  mode_ = Mode::kUndecided;
  auto refuse_variable = [&](const btf_var_secinfo& variable, const char* note) {
    describe_variable(type, variable, note);
    return fail(EINVAL);
  };
  for (u32 i = vertex.next; i < variables.size(); ++i) {
    const btf_type* variable = btf_.type(variables[i].type);
    if (!variable || kind_of(*variable) != BTF_KIND_VAR) {
      return refuse_variable(variables[i], "Not a VAR kind member");
    }
    if (must_resolve(variables[i].type)) {
      // As the kernel does, go on behind it: a variable that comes after its section has its size unchecked.
      stack_.back().next = i + 1;
      return push(variables[i].type);
    }
    u32 id = variable->type, size = 0;
    if (!sized(id, &size)) return refuse_variable(variables[i], "Invalid type");
    if (variables[i].size < size) return refuse_variable(variables[i], "Invalid size");
  }
  pop(0, 0);
  return {};
}

// kernel: btf_func_check.
Result<void> BtfCheck::resolve_function(Vertex vertex) {
  const btf_type& type = *btf_.type(vertex.id);
  const btf_type* prototype = btf_.type(type.type);
  if (!prototype || kind_of(*prototype) != BTF_KIND_FUNC_PROTO) return refuse(type, "Invalid type_id");
  auto parameters = btf_.params(*prototype);
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].name_off == 0 && parameters[i].type != 0) {
      return refuse(type, fmt::format("Invalid arg#{}", i + 1));
    }
  }
  pop(type.type, 0);
  return {};
}

Result<void> BtfCheck::resolve_decl_tag(Vertex vertex) {
  const btf_type& type = *btf_.type(vertex.id);
  const btf_type* target = btf_.type(type.type);
  u32 kind = target ? kind_of(*target) : 0;
  if (kind != BTF_KIND_FUNC && kind != BTF_KIND_VAR && kind != BTF_KIND_TYPEDEF &&
      !(target && btf_is_struct(*target))) {
    return refuse(type, "Invalid type_id");
  }
  if (must_resolve(type.type)) return push(type.type);
  s32 component = reinterpret_cast<const btf_decl_tag*>(&type + 1)->component_idx;
  if (component != -1) {
    const btf_type* parts = kind == BTF_KIND_FUNC ? btf_.type(target->type) : target;
    bool has_parts = btf_is_struct(*target) || kind == BTF_KIND_FUNC;
    if (!has_parts || !parts || static_cast<u32>(component) >= Btf::vlen(*parts)) {
      return refuse(type, "Invalid component_idx");
    }
  }
  pop(type.type, 0);
  return {};
}

// The return type or a parameter's type: it must have a size.
Result<void> BtfCheck::prototype_part(const btf_type& type, u32 part, const std::string& fault) {
  const btf_type* found = btf_.type(part);
  if (!found || is_source_only(*found)) return refuse(type, fault);
  if (checks(*found).resolve && !is_resolved(part)) TRY(resolve(part));
  if (!sized(part)) return refuse(type, fault);
  return {};
}

// kernel: btf_func_proto_check.
Result<void> BtfCheck::prototype(u32 id) {
  const btf_type& type = *btf_.type(id);
  if (type.type != 0) TRY(prototype_part(type, type.type, "Invalid return type"));
  auto parameters = btf_.params(type);
  if (!parameters.empty() && parameters.back().type == 0) {
    if (parameters.back().name_off != 0) return refuse(type, fmt::format("Invalid arg#{}", parameters.size()));
    parameters = parameters.first(parameters.size() - 1);
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    std::string fault = fmt::format("Invalid arg#{}", i + 1);
    u32 name = parameters[i].name_off;
    if (name != 0 && !(name_offset_valid(name) && is_identifier(name))) return refuse(type, fault);
    TRY(prototype_part(type, parameters[i].type, fault));
  }
  return {};
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/btf/core_relo.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

namespace bpfemu {

namespace {

constexpr size_t kLongestPath = 64;  // kernel: BPF_CORE_SPEC_MAX_LEN
constexpr int kDeepestType = 32;     // kernel: bpf_core_types_are_compat
constexpr int kDeepestProto = 2;     // kernel: MAX_TYPES_ARE_COMPAT_DEPTH

bool is_field(u32 kind) {
  return kind <= BPF_CORE_FIELD_RSHIFT_U64;
}
bool is_enumerator(u32 kind) {
  return kind == BPF_CORE_ENUMVAL_EXISTS || kind == BPF_CORE_ENUMVAL_VALUE;
}

bool is_composite(u32 kind) {
  return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION;
}
bool is_enum(u32 kind) {
  return kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64;
}
bool same_kind(const btf_type& a, const btf_type& b) {
  return Btf::kind(a) == Btf::kind(b) || (is_enum(Btf::kind(a)) && is_enum(Btf::kind(b)));
}

u32 int_data(const btf_type& type) {
  u32 data;
  std::memcpy(&data, &type + 1, sizeof data);
  return data;
}

// "task_struct___old" is another view of "task_struct".
std::string_view without_flavour(const char* text) {
  const std::string_view name(text ? text : "");
  const size_t at = name.rfind("___");
  const bool flavour = at != name.npos && at > 0 && name[at - 1] != '_' && at + 3 < name.size() && name[at + 3] != '_';
  return flavour ? name.substr(0, at) : name;
}

// Name and value of an enumerator.
struct Enumerator {
  const char* name;
  u64 value;
};
Enumerator enumerator(const Btf& btf, const btf_type& type, u32 index) {
  if (Btf::kind(type) == BTF_KIND_ENUM) {
    const auto& each = reinterpret_cast<const btf_enum*>(&type + 1)[index];
    return {btf.string(each.name_off),
            Btf::kind_flag(type) ? static_cast<u64>(s64{each.val}) : static_cast<u32>(each.val)};
  }
  const auto& each = reinterpret_cast<const btf_enum64*>(&type + 1)[index];
  return {btf.string(each.name_off), u64{each.val_hi32} << 32 | each.val_lo32};
}

}  // namespace

const std::vector<u32>& CoreRelocator::candidates(u32 local_id) {
  for (const auto& [id, found] : known_)
    if (id == local_id) return found;
  auto& found = known_.emplace_back(local_id, std::vector<u32>()).second;
  const btf_type* local = local_.type(local_id);
  const std::string_view name = without_flavour(local ? local_.string(local->name_off) : nullptr);
  if (name.empty()) return found;
  for (u32 id = 1; id < target_.type_count(); ++id) {
    const btf_type& type = *target_.type(id);
    if (Btf::kind(type) == Btf::kind(*local) && without_flavour(target_.string(type.name_off)) == name)
      found.push_back(id);
  }
  return found;
}

Result<CoreRelocator::Place> CoreRelocator::parse(const bpf_core_relo& relo) const {
  const char* text = local_.string(relo.access_str_off);
  const std::string_view access(text ? text : "");
  if (!is_field(relo.kind) && !is_enumerator(relo.kind)) {
    if (access != "0") return fail(EINVAL);
    return Place{.btf = &local_, .root = relo.type_id, .steps = {}};
  }
  std::vector<u32> path;
  for (const char *at = access.data(), *end = at + access.size(); at != end;) {
    if (path.size() == kLongestPath) return fail(E2BIG);
    if (!path.empty() && *at++ != ':') return fail(EINVAL);
    u32 index = 0;
    const auto [after, error] = std::from_chars(at, end, index);
    if (error != std::errc()) return fail(EINVAL);
    path.push_back(index);
    at = after;
  }
  if (path.empty()) return fail(EINVAL);
  if (is_field(relo.kind)) return parse_field(relo, path);
  u32 id = 0;
  const btf_type* type = local_.skip_modifiers(relo.type_id, &id);
  if (!type || !is_enum(Btf::kind(*type)) || path.size() > 1 || path[0] >= Btf::vlen(*type)) return fail(EINVAL);
  return Place{.btf = &local_, .root = relo.type_id, .steps = {{id, path[0], enumerator(local_, *type, path[0]).name}}};
}

Result<CoreRelocator::Place> CoreRelocator::parse_field(const bpf_core_relo& relo, const std::vector<u32>& path) const {
  Place place{.btf = &local_, .root = relo.type_id, .steps = {}};
  u32 id = 0;
  if (!local_.skip_modifiers(relo.type_id, &id)) return fail(EINVAL);
  place.steps.push_back({id, path[0]});
  place.bit_offset = u64{path[0]} * TRY(local_.size_of(id)) * 8;
  for (size_t i = 1; i < path.size(); ++i) {
    const btf_type* type = local_.skip_modifiers(id, &id);
    if (!type) return fail(EINVAL);
    if (is_composite(Btf::kind(*type))) {
      if (path[i] >= Btf::vlen(*type)) return fail(EINVAL);
      const btf_member& member = local_.members(*type)[path[i]];
      place.bit_offset += Btf::member_bit_offset(*type, member);
      if (member.name_off) place.steps.push_back({id, path[i], local_.string(member.name_off)});
      id = member.type;
    } else if (Btf::kind(*type) == BTF_KIND_ARRAY) {
      const btf_array& array = local_.array(*type);
      // An array without a size, or of one element at the end of a struct, may have more.
      if (path[i] >= array.nelems && array.nelems > 1) return fail(EINVAL);
      if (!local_.skip_modifiers(array.type, &id)) return fail(EINVAL);
      place.steps.push_back({id, path[i]});
      place.bit_offset += u64{path[i]} * TRY(local_.size_of(id)) * 8;
    } else {
      return fail(EINVAL);
    }
  }
  return place;
}

Result<bool> CoreRelocator::fields_fit(u32 local_id, u32 target_id) const {
  for (;;) {
    const btf_type* local = local_.skip_modifiers(local_id);
    const btf_type* target = target_.skip_modifiers(target_id);
    if (!local || !target) return fail(EINVAL);
    if (is_composite(Btf::kind(*local)) && is_composite(Btf::kind(*target))) return true;
    if (!same_kind(*local, *target)) return false;
    switch (Btf::kind(*local)) {
      case BTF_KIND_PTR:
      case BTF_KIND_FLOAT: return true;
      case BTF_KIND_INT: return BTF_INT_OFFSET(int_data(*local)) == 0 && BTF_INT_OFFSET(int_data(*target)) == 0;
      case BTF_KIND_FWD:
      case BTF_KIND_ENUM:
      case BTF_KIND_ENUM64: {
        const auto a = without_flavour(local_.string(local->name_off)),
                   b = without_flavour(target_.string(target->name_off));
        return a.empty() || b.empty() || a == b;
      }
      case BTF_KIND_ARRAY:
        local_id = local_.array(*local).type;
        target_id = target_.array(*target).type;
        break;
      default: return false;
    }
  }
}

Result<bool> CoreRelocator::types_fit(u32 local_id, u32 target_id, int level) const {
  for (int depth = 0; depth < kDeepestType; ++depth) {
    const btf_type* local = local_.skip_modifiers(local_id);
    const btf_type* target = target_.skip_modifiers(target_id);
    if (!local || !target) return fail(EINVAL);
    if (!same_kind(*local, *target)) return false;
    switch (Btf::kind(*local)) {
      case BTF_KIND_INT: return BTF_INT_OFFSET(int_data(*local)) == 0 && BTF_INT_OFFSET(int_data(*target)) == 0;
      case BTF_KIND_PTR:
        local_id = local->type;
        target_id = target->type;
        break;
      case BTF_KIND_ARRAY:
        local_id = local_.array(*local).type;
        target_id = target_.array(*target).type;
        break;
      case BTF_KIND_FUNC_PROTO: {
        const auto ours = local_.params(*local), theirs = target_.params(*target);
        if (ours.size() != theirs.size()) return false;
        for (size_t i = 0; i < ours.size(); ++i) {
          if (level <= 0) return fail(EINVAL);
          if (!TRY(types_fit(ours[i].type, theirs[i].type, level - 1))) return false;
        }
        local_id = local->type;
        target_id = target->type;
        break;
      }
      case BTF_KIND_UNKN:
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION:
      case BTF_KIND_ENUM:
      case BTF_KIND_ENUM64:
      case BTF_KIND_FWD: return true;
      default: return false;
    }
  }
  return fail(EINVAL);
}

Result<u32> CoreRelocator::match_member(const Step& step, u32 structure, Place& place, u32 depth) const {
  u32 id = 0;
  const btf_type* type = target_.skip_modifiers(structure, &id);
  if (!type) return fail(EINVAL);
  if (!is_composite(Btf::kind(*type))) return 0;
  if (depth == kLongestPath) return fail(E2BIG);
  const btf_member& wanted = local_.members(*local_.type(step.type))[step.index];
  const auto members = target_.members(*type);
  for (u32 i = 0; i < members.size(); ++i) {
    const char* name = target_.string(members[i].name_off);
    const u64 offset = Btf::member_bit_offset(*type, members[i]);
    if (!name || !*name) {
      place.bit_offset += offset;
      if (const u32 found = TRY(match_member(step, members[i].type, place, depth + 1))) return found;
      place.bit_offset -= offset;
    } else if (std::strcmp(name, step.name) == 0) {
      if (!TRY(fields_fit(wanted.type, members[i].type))) return 0;
      place.bit_offset += offset;
      place.steps.push_back({id, i, name});
      return members[i].type;
    }
  }
  return 0;
}

Result<std::optional<CoreRelocator::Place>> CoreRelocator::match_field(const Place& local, u32 candidate) const {
  Place place{.btf = &target_, .root = candidate, .steps = {}};
  u32 id = candidate;
  for (size_t i = 0; i < local.steps.size(); ++i) {
    const Step& step = local.steps[i];
    const btf_type* type = target_.skip_modifiers(id, &id);
    if (!type) return fail(EINVAL);
    if (step.name) {
      id = TRY(match_member(step, id, place, 0));
      if (!id) return std::optional<Place>();
      continue;
    }
    // The first step counts from the type itself, as if it were an element.
    if (i > 0) {
      if (Btf::kind(*type) != BTF_KIND_ARRAY) return std::optional<Place>();
      const btf_array& array = target_.array(*type);
      if (step.index >= array.nelems && array.nelems > 1) return std::optional<Place>();
      if (!target_.skip_modifiers(array.type, &id)) return fail(EINVAL);
    }
    place.steps.push_back({id, step.index});
    place.bit_offset += u64{step.index} * TRY(target_.size_of(id)) * 8;
  }
  return std::optional(std::move(place));
}

std::optional<CoreRelocator::Place> CoreRelocator::match_enumerator(const Place& local, u32 candidate) const {
  u32 id = 0;
  const btf_type* type = target_.skip_modifiers(candidate, &id);
  if (!type || !is_enum(Btf::kind(*type))) return std::nullopt;
  const std::string_view wanted = without_flavour(local.steps[0].name);
  for (u32 i = 0; i < Btf::vlen(*type); ++i) {
    const char* name = enumerator(target_, *type, i).name;
    if (without_flavour(name) == wanted) return Place{.btf = &target_, .root = candidate, .steps = {{id, i, name}}};
  }
  return std::nullopt;
}

Result<std::optional<CoreRelocator::Place>> CoreRelocator::match(const Place& local, u32 kind, u32 candidate) const {
  if (is_field(kind)) return match_field(local, candidate);
  if (is_enumerator(kind)) return match_enumerator(local, candidate);
  const bool fits = TRY(types_fit(local.root, candidate, kDeepestProto));
  return fits ? std::optional(Place{.btf = &target_, .root = candidate, .steps = {}}) : std::nullopt;
}

namespace {

// A field's value for one relocation; `check` and `size` as of CoreValue.
struct FieldValue {
  u64 value = 0;
  bool check = true;
  u32 size = 0, type = 0;
};

// Of the bytes that a load of a bit field takes: the fewest that hold it, aligned to their number.
Result<std::pair<u64, u64>> bytes_around(u64 bit_offset, u64 bits, u64 bytes) {
  u64 at = bit_offset / 8 / bytes * bytes;
  while (bit_offset + bits - at * 8 > bytes * 8) {
    if (bytes >= 8) return fail(E2BIG);
    bytes *= 2;
    at = bit_offset / 8 / bytes * bytes;
  }
  return std::pair(at, bytes);
}

Result<FieldValue> element_value(u32 kind, const Btf& btf, u32 type, u64 bit_offset) {
  const u32 size = TRY(btf.size_of(type));
  if (kind == BPF_CORE_FIELD_BYTE_OFFSET) return FieldValue{.value = bit_offset / 8, .size = size, .type = type};
  if (kind == BPF_CORE_FIELD_BYTE_SIZE) return FieldValue{.value = size};
  return fail(EINVAL);
}

Result<FieldValue> member_value(u32 kind, const Btf& btf, const btf_type& structure, u32 index, u64 bit_offset) {
  const btf_member& member = btf.members(structure)[index];
  u32 id = 0;
  const btf_type* type = btf.skip_modifiers(member.type, &id);
  if (!type) return fail(EINVAL);
  u64 bits = Btf::member_bitfield_size(structure, member), at = bit_offset / 8, bytes = 0;
  const bool is_bits = bits != 0;
  if (is_bits) {
    std::tie(at, bytes) = TRY(bytes_around(bit_offset, bits, std::max<u32>(type->size, 1)));
  } else {
    bytes = TRY(btf.size_of(id));
    bits = bytes * 8;
  }
  // Compilers differ in how they take bits apart.
  FieldValue field{.check = !is_bits};
  switch (kind) {
    case BPF_CORE_FIELD_BYTE_OFFSET:
      field.value = at;
      if (!is_bits) field.size = static_cast<u32>(bytes), field.type = id;
      return field;
    case BPF_CORE_FIELD_BYTE_SIZE: field.value = bytes; return field;
    case BPF_CORE_FIELD_SIGNED: {
      const bool is_int = Btf::kind(*type) == BTF_KIND_INT;
      field.value = (is_enum(Btf::kind(*type)) && Btf::kind_flag(*type)) ||
                    (is_int && BTF_INT_ENCODING(int_data(*type)) & BTF_INT_SIGNED);
      field.check = true;
      return field;
    }
    case BPF_CORE_FIELD_LSHIFT_U64: field.value = 64 - (bit_offset + bits - at * 8); return field;
    case BPF_CORE_FIELD_RSHIFT_U64:
      field.value = 64 - bits;
      field.check = true;
      return field;
    default: return fail(EOPNOTSUPP);
  }
}

// Whoever reads an unsigned number or a pointer may read it with another size.
bool can_resize(const Btf& local, u32 local_id, const Btf& target, u32 target_id) {
  const btf_type *a = local.type(local_id), *b = target.type(target_id);
  if (!a || !b) return false;
  if (Btf::kind(*a) == BTF_KIND_PTR && Btf::kind(*b) == BTF_KIND_PTR) return true;
  const auto is_unsigned = [](const btf_type& type) {
    return Btf::kind(type) == BTF_KIND_INT && BTF_INT_ENCODING(int_data(type)) != BTF_INT_SIGNED;
  };
  return is_unsigned(*a) && is_unsigned(*b);
}

}  // namespace

Result<CoreValue> CoreRelocator::value(u32 kind, const Place& local, const Place* target) const {
  const auto field_of = [kind](const Place& place) -> Result<FieldValue> {
    const Step& last = place.steps.back();
    if (!last.name) return element_value(kind, *place.btf, last.type, place.bit_offset);
    return member_value(kind, *place.btf, *place.btf->type(last.type), last.index, place.bit_offset);
  };
  const auto enumerator_of = [](const Place& place) {
    return enumerator(*place.btf, *place.btf->type(place.steps[0].type), place.steps[0].index).value;
  };
  switch (kind) {
    case BPF_CORE_FIELD_EXISTS:
    case BPF_CORE_TYPE_EXISTS:
    case BPF_CORE_ENUMVAL_EXISTS: return CoreValue{.original = 1, .value = target != nullptr};
    case BPF_CORE_TYPE_ID_TARGET:
      return CoreValue{.original = local.root, .value = target ? target->root : 0, .check = false};
    case BPF_CORE_TYPE_SIZE:
      return CoreValue{.original = TRY(local_.size_of(local.root)),
                       .value = target ? TRY(target_.size_of(target->root)) : 0};
    case BPF_CORE_ENUMVAL_VALUE:
      if (!target) return CoreValue{.poison = true};
      return CoreValue{.original = enumerator_of(local), .value = enumerator_of(*target)};
    default:;
  }
  if (!is_field(kind)) return fail(EOPNOTSUPP);
  const FieldValue original = TRY(field_of(local));
  if (!target) return CoreValue{.original = original.value, .poison = true};
  const FieldValue found = TRY(field_of(*target));
  return CoreValue{.original = original.value,
                   .value = found.value,
                   .check = original.check,
                   .bad_resize = original.size != found.size && !can_resize(local_, original.type, target_, found.type),
                   .original_size = original.size,
                   .size = found.size};
}

Result<CoreValue> CoreRelocator::resolve(const bpf_core_relo& relo) {
  if (relo.kind > BPF_CORE_ENUMVAL_VALUE) return fail(EOPNOTSUPP);
  const btf_type* type = local_.type(relo.type_id);
  if (!type) return fail(EINVAL);
  const auto local = parse(relo);
  if (!local) return fail(EINVAL);
  if (relo.kind == BPF_CORE_TYPE_ID_LOCAL)
    return CoreValue{.original = relo.type_id, .value = relo.type_id, .check = false};
  const char* name = local_.string(type->name_off);
  if (!name || !*name) return fail(EINVAL);

  std::optional<std::pair<CoreValue, u64>> chosen;  // and the bit offset that it comes from
  for (u32 candidate : candidates(relo.type_id)) {
    const auto place = TRY(match(*local, relo.kind, candidate));
    if (!place) continue;
    const CoreValue found = TRY(value(relo.kind, *local, &*place));
    if (!chosen) {
      chosen.emplace(found, place->bit_offset);
    } else if (chosen->second != place->bit_offset || chosen->first.poison != found.poison ||
               chosen->first.value != found.value) {
      return fail(EINVAL);  // ambiguous
    }
  }
  return chosen ? chosen->first : value(relo.kind, *local, nullptr);
}

}  // namespace bpfemu

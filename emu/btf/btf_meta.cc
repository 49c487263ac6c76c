// SPDX-License-Identifier: Apache-2.0
// Each type on its own: the rules of its kind and its elements, and how it looks in the log.
#include "emu/base/bytes.h"
#include "emu/btf/btf_check.h"

namespace bpfemu {

namespace {

using Fault = BtfCheck::Fault;
using MaybeFault = std::optional<Fault>;

constexpr u32 kInfoMask = 0x9f00ffff, kIntMask = 0x0fffffff;  // kernel: BTF_INFO_MASK, BTF_INT_MASK

MaybeFault unless(bool fine, const char* text, int error = EINVAL) {
  if (fine) return {};
  return Fault{text, error};
}
template <class T>
const T& extra(const btf_type& type) {
  return *reinterpret_cast<const T*>(&type + 1);
}
bool is_valid_id(u32 id) {
  return id <= BTF_MAX_TYPE;
}
u32 bytes_up(u32 bits) {
  return bits / 8 + (bits % 8 != 0);
}

MaybeFault no_vlen(const BtfCheck&, const btf_type& t) {
  return unless(Btf::vlen(t) == 0, "vlen != 0");
}
MaybeFault no_flag(const BtfCheck&, const btf_type& t) {
  return unless(!Btf::kind_flag(t), "Invalid btf_info kind_flag");
}
MaybeFault no_name(const BtfCheck&, const btf_type& t) {
  return unless(t.name_off == 0, "Invalid name");
}
MaybeFault named(const BtfCheck& c, const btf_type& t) {
  return unless(t.name_off != 0 && c.is_identifier(t.name_off), "Invalid name");
}
MaybeFault maybe_named(const BtfCheck& c, const btf_type& t) {
  return unless(t.name_off == 0 || c.is_identifier(t.name_off), "Invalid name");
}
bool has_text(const BtfCheck& c, u32 offset) {
  return c.name(offset) && *c.name(offset);
}
MaybeFault tag_name(const BtfCheck& c, const btf_type& t) {
  return unless(has_text(c, t.name_off), "Invalid name");
}
MaybeFault tag_value(const BtfCheck& c, const btf_type& t) {
  return unless(has_text(c, t.name_off), "Invalid value");
}

MaybeFault valid_type(const BtfCheck&, const btf_type& t) {
  return unless(is_valid_id(t.type), "Invalid type_id");
}
MaybeFault concrete_type(const BtfCheck&, const btf_type& t) {
  return unless(t.type != 0 && is_valid_id(t.type), "Invalid type_id");
}
MaybeFault no_type(const BtfCheck&, const btf_type& t) {
  return unless(t.type == 0, "type != 0");
}
MaybeFault no_size(const BtfCheck&, const btf_type& t) {
  return unless(t.size == 0, "size != 0");
}
MaybeFault some_size(const BtfCheck&, const btf_type& t) {
  return unless(t.size != 0, "size == 0");
}
MaybeFault enum_size(const BtfCheck&, const btf_type& t) {
  return unless(t.size <= 8 && is_power_of_two(t.size), "Unexpected size");
}
MaybeFault float_size(const BtfCheck&, const btf_type& t) {
  return unless(t.size == 2 || t.size == 4 || t.size == 8 || t.size == 12 || t.size == 16, "Invalid type_size");
}

MaybeFault int_bits_known(const BtfCheck&, const btf_type& t) {
  if (!(btf_int_data(t) & ~kIntMask)) return {};
  return Fault{fmt::format("Invalid int_data:{:x}", btf_int_data(t)), EINVAL, true};
}
u32 int_bits(const btf_type& t) {
  return BTF_INT_BITS(btf_int_data(t)) + BTF_INT_OFFSET(btf_int_data(t));
}
MaybeFault int_at_most_128(const BtfCheck&, const btf_type& t) {
  return unless(int_bits(t) <= 128, "nr_bits exceeds 128");
}
MaybeFault int_fits(const BtfCheck&, const btf_type& t) {
  return unless(bytes_up(int_bits(t)) <= t.size, "nr_bits exceeds type_size");
}
MaybeFault int_encoding(const BtfCheck&, const btf_type& t) {
  u32 encoding = BTF_INT_ENCODING(btf_int_data(t));
  return unless((encoding & (encoding - 1)) == 0 && encoding <= BTF_INT_BOOL, "Unsupported encoding", ENOTSUPP);
}
MaybeFault array_element(const BtfCheck&, const btf_type& t) {
  u32 id = extra<btf_array>(t).type;
  return unless(id != 0 && is_valid_id(id), "Invalid elem");
}
MaybeFault array_index(const BtfCheck&, const btf_type& t) {
  u32 id = extra<btf_array>(t).index_type;
  return unless(id != 0 && is_valid_id(id), "Invalid index");
}
MaybeFault function_linkage(const BtfCheck&, const btf_type& t) {
  return unless(Btf::vlen(t) <= BTF_FUNC_GLOBAL, "Invalid func linkage");
}
MaybeFault variable_linkage(const BtfCheck&, const btf_type& t) {
  u32 linkage = extra<btf_var>(t).linkage;
  return unless(linkage == BTF_VAR_STATIC || linkage == BTF_VAR_GLOBAL_ALLOCATED, "Linkage not supported");
}
MaybeFault component(const BtfCheck&, const btf_type& t) {
  return unless(extra<btf_decl_tag>(t).component_idx >= -1, "Invalid component_idx");
}

}  // namespace

const BtfCheck::KindChecks& BtfCheck::checks(const btf_type& type) {
  using C = BtfCheck;
  constexpr auto none = &C::no_elements;
  static const KindChecks kUnknown{{}, none, nullptr, nullptr, &C::no_details};
  static const KindChecks kReference{
      {no_vlen, no_flag, valid_type, no_name}, none, &C::resolve_modifier, &C::place_modifier, &C::reference_details};
  static const KindChecks kStruct{
      {maybe_named}, &C::member_elements, &C::resolve_struct, &C::place_struct, &C::sized_details};
  static const KindChecks kRows[] = {
      kUnknown,
      // INT
      {{no_vlen, no_flag, int_bits_known, int_at_most_128, int_fits, int_encoding},
       none,
       nullptr,
       &C::place_int,
       &C::int_details},
      // PTR
      {{no_vlen, no_flag, valid_type, no_name}, none, &C::resolve_pointer, &C::place_pointer, &C::reference_details},
      // ARRAY
      {{no_name, no_vlen, no_flag, no_size, array_element, array_index},
       none,
       &C::resolve_array,
       &C::place_array,
       &C::array_details},
      // STRUCT, UNION
      kStruct,
      kStruct,
      // ENUM
      {{enum_size, maybe_named}, &C::enum_elements, nullptr, &C::place_enum, &C::sized_details},
      // FWD
      {{no_vlen, no_type, named}, none, nullptr, nullptr, &C::forward_details},
      // TYPEDEF
      {{no_vlen, no_flag, valid_type, named}, none, &C::resolve_modifier, &C::place_modifier, &C::reference_details},
      // VOLATILE, CONST, RESTRICT
      kReference,
      kReference,
      kReference,
      // FUNC
      {{named, function_linkage, no_flag}, none, &C::resolve_function, nullptr, &C::reference_details},
      // FUNC_PROTO
      {{no_name, no_flag}, none, nullptr, nullptr, &C::prototype_details},
      // VAR
      {{no_vlen, no_flag, named, concrete_type, variable_linkage},
       none,
       &C::resolve_variable,
       nullptr,
       &C::variable_details},
      // DATASEC
      {{some_size, no_flag, named}, &C::variable_elements, &C::resolve_datasec, nullptr, &C::sized_details},
      // FLOAT
      {{no_vlen, no_flag, float_size}, none, nullptr, &C::place_float, &C::float_details},
      // DECL_TAG
      {{tag_value, no_vlen, no_flag, component}, none, &C::resolve_decl_tag, nullptr, &C::decl_tag_details},
      // TYPE_TAG
      {{no_vlen, no_flag, valid_type, tag_name}, none, &C::resolve_modifier, &C::place_modifier, &C::reference_details},
      // ENUM64
      {{enum_size, maybe_named}, &C::enum64_elements, nullptr, &C::place_enum, &C::sized_details},
  };
  static_assert(std::size(kRows) == BTF_KIND_MAX + 1);
  return kRows[Btf::kind(type)];
}

// The type at `at` of the type section: its size with all that belongs to it (kernel: btf_check_meta).
Result<u32> BtfCheck::meta(u32 at) {
  u32 left = static_cast<u32>(btf_.types_.size()) - at;
  if (left < sizeof(btf_type)) {
    return refuse(fmt::format("[{}] meta_left:{} meta_needed:{}", shown_id_, left, sizeof(btf_type)));
  }
  left -= sizeof(btf_type);
  const auto& type = *reinterpret_cast<const btf_type*>(btf_.types_.data() + at);
  u32 kind = Btf::kind(type);
  if (type.info & ~kInfoMask) return refuse(fmt::format("[{}] Invalid btf_info:{:x}", shown_id_, type.info));
  if (kind > BTF_KIND_MAX || kind == BTF_KIND_UNKN) return refuse(fmt::format("[{}] Invalid kind:{}", shown_id_, kind));
  if (!name_offset_valid(type.name_off)) {
    return refuse(fmt::format("[{}] Invalid name_offset:{}", shown_id_, type.name_off));
  }
  u32 size = btf_type_bytes(kind, Btf::vlen(type)), needed = size - sizeof(btf_type);
  std::optional<Fault> fault;
  if (left < needed) fault = Fault{fmt::format("meta_left:{} meta_needed:{}", left, needed), EINVAL, true};
  for (Rule rule : checks(type).rules) {
    if (!fault) fault = rule(*this, type);
  }
  if (fault) {
    describe(type, fault->text, fault->brief);
    return fail(fault->error);
  }
  describe(type);
  TRY((this->*checks(type).elements)(type));
  return size;
}

Result<void> BtfCheck::no_elements(const btf_type&) {
  return {};
}

// kernel: btf_struct_check_meta.
Result<void> BtfCheck::member_elements(const btf_type& type) {
  u32 last = 0;
  for (const btf_member& member : btf_.members(type)) {
    if (!name_offset_valid(member.name_off)) {
      return refuse_member(type, member, fmt::format("Invalid member name_offset:{}", member.name_off));
    }
    if (member.name_off && !is_identifier(member.name_off)) return refuse_member(type, member, "Invalid name");
    if (member.type == 0 || !is_valid_id(member.type)) return refuse_member(type, member, "Invalid type_id");
    u32 offset = Btf::member_bit_offset(type, member);
    if ((Btf::kind(type) == BTF_KIND_UNION && offset != 0) || last > offset) {
      return refuse_member(type, member, "Invalid member bits_offset");
    }
    if (bytes_up(offset) > type.size) {
      return refuse_member(type, member, "Member bits_offset exceeds its struct size");
    }
    describe_member(type, member);
    last = offset;
  }
  return {};
}

template <class Value, class Print>
Result<void> BtfCheck::enumerators(const btf_type& type, Print print) {
  for (const Value& value : std::span(&extra<Value>(type), Btf::vlen(type))) {
    if (!name_offset_valid(value.name_off)) {
      return refuse(fmt::format("\tInvalid name_offset:{}", value.name_off));
    }
    if (value.name_off == 0 || !is_identifier(value.name_off)) return refuse(type, "Invalid name");
    print(value);
  }
  return {};
}

Result<void> BtfCheck::enum_elements(const btf_type& type) {
  return enumerators<btf_enum>(type, [&](const btf_enum& value) {
    s64 shown = Btf::kind_flag(type) ? s64{value.val} : s64{static_cast<u32>(value.val)};
    log_.print("\t{} val={}\n", shown_name(value.name_off), shown);
  });
}

Result<void> BtfCheck::enum64_elements(const btf_type& type) {
  return enumerators<btf_enum64>(type, [&](const btf_enum64& value) {
    u64 bits = u64{value.val_hi32} << 32 | value.val_lo32;
    const char* name = shown_name(value.name_off);
    if (Btf::kind_flag(type)) {
      log_.print("\t{} val={}\n", name, static_cast<s64>(bits));
    } else {
      log_.print("\t{} val={}\n", name, bits);
    }
  });
}

// kernel: btf_datasec_check_meta.
Result<void> BtfCheck::variable_elements(const btf_type& type) {
  u64 end = 0, sum = 0;
  for (const btf_var_secinfo& variable : std::span(&extra<btf_var_secinfo>(type), Btf::vlen(type))) {
    const char* fault = nullptr;
    if (variable.type == 0 || !is_valid_id(variable.type)) {
      fault = "Invalid type_id";
    } else if (variable.offset < end || variable.offset >= type.size) {
      fault = "Invalid offset";
    } else if (variable.size == 0 || variable.size > type.size) {
      fault = "Invalid size";
    } else {
      end = u32{variable.offset + variable.size};
      if (end > type.size) fault = "Invalid offset+size";
    }
    describe_variable(type, variable, fault ? fault : "");
    if (fault) return fail(EINVAL);
    sum += variable.size;
  }
  if (type.size < sum) return refuse(type, "Invalid btf_info size");
  return {};
}

std::unexpected<Errno> BtfCheck::refuse(std::string_view text, int error) {
  log_.append(text);
  return fail(error);
}

std::unexpected<Errno> BtfCheck::refuse(const btf_type& type, std::string_view note, int error) {
  describe(type, note);
  return fail(error);
}

std::unexpected<Errno> BtfCheck::refuse_member(const btf_type& outer, const btf_member& member, std::string_view note) {
  describe_member(outer, member, note);
  return fail(EINVAL);
}

const char* BtfCheck::shown_name(u32 offset) const {
  if (offset == 0) return "(anon)";
  const char* text = name(offset);
  return text ? text : "(invalid-name-offset)";
}

// kernel: __btf_verifier_log_type.
void BtfCheck::describe(const btf_type& type, std::string_view note, bool brief) {
  if (!log_.wanted()) return;
  log_.print("[{}] {} {}{}", shown_id_, kBtfKinds[Btf::kind(type)].name, shown_name(type.name_off), brief ? "" : " ");
  if (!brief) (this->*checks(type).details)(type);
  if (!note.empty()) log_.print(" {}", note);
  log_.print("\n");
}

// kernel: btf_verifier_log_member.
void BtfCheck::describe_member(const btf_type& outer, const btf_member& member, std::string_view note) {
  if (!log_.wanted()) return;
  if (resolving_) describe(outer);
  const char* name = shown_name(member.name_off);
  if (Btf::kind_flag(outer)) {
    log_.print("\t{} type_id={} bitfield_size={} bits_offset={}", name, member.type,
               BTF_MEMBER_BITFIELD_SIZE(member.offset), BTF_MEMBER_BIT_OFFSET(member.offset));
  } else {
    log_.print("\t{} type_id={} bits_offset={}", name, member.type, member.offset);
  }
  log_.print("{}{}\n", note.empty() ? "" : " ", note);
}

// kernel: btf_verifier_log_vsi.
void BtfCheck::describe_variable(const btf_type& section, const btf_var_secinfo& variable, std::string_view note) {
  if (!log_.wanted()) return;
  if (resolving_) describe(section);
  log_.print("\t type_id={} offset={} size={}{}{}\n", variable.type, variable.offset, variable.size,
             note.empty() ? "" : " ", note);
}

void BtfCheck::int_details(const btf_type& type) {
  u32 data = btf_int_data(type), encoding = BTF_INT_ENCODING(data);
  const char* shown = encoding == 0                ? "(none)"
                      : encoding == BTF_INT_SIGNED ? "SIGNED"
                      : encoding == BTF_INT_CHAR   ? "CHAR"
                      : encoding == BTF_INT_BOOL   ? "BOOL"
                                                   : "UNKN";
  log_.print("size={} bits_offset={} nr_bits={} encoding={}", type.size, BTF_INT_OFFSET(data), BTF_INT_BITS(data),
             shown);
}
void BtfCheck::reference_details(const btf_type& type) {
  log_.print("type_id={}", type.type);
}
void BtfCheck::array_details(const btf_type& type) {
  const btf_array& array = btf_.array(type);
  log_.print("type_id={} index_type_id={} nr_elems={}", array.type, array.index_type, array.nelems);
}
void BtfCheck::sized_details(const btf_type& type) {
  log_.print("size={} vlen={}", type.size, Btf::vlen(type));
}
void BtfCheck::forward_details(const btf_type& type) {
  log_.print("{}", Btf::kind_flag(type) ? "union" : "struct");
}
void BtfCheck::variable_details(const btf_type& type) {
  log_.print("type_id={} linkage={}", type.type, extra<btf_var>(type).linkage);
}
void BtfCheck::float_details(const btf_type& type) {
  log_.print("size={}", type.size);
}
void BtfCheck::decl_tag_details(const btf_type& type) {
  log_.print("type={} component_idx={}", type.type, extra<btf_decl_tag>(type).component_idx);
}

// Without parameters it is "void"; a last one without a type is "vararg".
void BtfCheck::prototype_details(const btf_type& type) {
  auto parameters = btf_.params(type);
  log_.print("return={} args=(", type.type);
  if (parameters.empty()) log_.print("void");
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (i != 0) log_.print(", ");
    if (i + 1 == parameters.size() && parameters[i].type == 0) {
      log_.print("vararg");
    } else {
      log_.print("{} {}", parameters[i].type, shown_name(parameters[i].name_off));
    }
  }
  log_.print(")");
}

}  // namespace bpfemu

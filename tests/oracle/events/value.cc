// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/events/value.h"

#include <fstream>
#include <iterator>
#include <sstream>

namespace events {

// What has been walked to: a type, and the offset of it behind the last pointer that was followed.
struct Types::Cursor {
  u32 type = 0, offset = 0;
  bool is_base = true;
};

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Types::Types() : btf_(btf__load_vmlinux_btf()) {
  if (!btf_) fail("the kernel's BTF cannot be read");
}

Types::~Types() { btf__free(btf_); }

u32 Types::plain(u32 type) const {
  const btf_type* t = btf__type_by_id(btf_, type);
  while (btf_is_mod(t) || btf_is_typedef(t)) t = btf__type_by_id(btf_, type = t->type);
  return type;
}

// Also those of unnamed structs and unions.
bool Types::member(u32 type, const std::string& wanted, u32* offset, u32* member_type) const {
  const btf_type* t = btf__type_by_id(btf_, type);
  if (!btf_is_composite(t)) return false;
  for (u32 i = 0; i < btf_vlen(t); ++i) {
    const btf_member& m = btf_members(t)[i];
    const u32 at = btf_member_bit_offset(t, i) / 8;
    if (wanted == name(m.name_off) && btf_member_bitfield_size(t, i) == 0) {
      *offset += at;
      *member_type = plain(m.type);
      return true;
    }
    u32 inner = *offset + at;
    if (!*name(m.name_off) && member(plain(m.type), wanted, &inner, member_type)) {
      *offset = inner;
      return true;
    }
  }
  return false;
}

u32 Types::offset(const char* type, const char* wanted) const {
  u32 offset = 0, of = 0;
  const s64 id = btf__find_by_name_kind(btf_, type, BTF_KIND_STRUCT);
  if (id < 0 || !member(static_cast<u32>(id), wanted, &offset, &of)) fail(std::string("no ") + type + "." + wanted);
  return offset;
}

u32 Types::attach_id(const std::string& target, Way way) const {
  const std::string symbol = way == kLsm ? "bpf_lsm_" + target : way & kRaw ? "btf_trace_" + target : target;
  const s64 id = btf__find_by_name_kind(btf_, symbol.c_str(), way & kRaw ? BTF_KIND_TYPEDEF : BTF_KIND_FUNC);
  return id < 0 ? 0 : static_cast<u32>(id);
}

u32 Types::arguments(const std::string& target, Way way) const {
  if (!(way & (kFentry | kFexit | kLsm))) return 0;
  u32 first = 0;
  const btf_type* proto = prototype(target, way, &first);
  return proto ? btf_vlen(proto) : 0;
}

// A tracepoint's prototype begins with the probe's own data, which programs do not see.
const btf_type* Types::prototype(const std::string& target, Way way, u32* first) const {
  const u32 id = attach_id(target.substr(0, target.find('.')), way);
  if (!id) return nullptr;
  *first = way & kRaw ? 1 : 0;
  u32 type = plain(btf__type_by_id(btf_, id)->type);
  if (way & kRaw) type = plain(btf__type_by_id(btf_, type)->type);
  return btf__type_by_id(btf_, type);
}

bool Types::begin_argument(Value& value, const std::string& target, Way way, Cursor& at) const {
  u32 first = 0;
  const btf_type* proto = prototype(target, way, &first);
  if (!proto || value.argument + first >= btf_vlen(proto)) return false;
  at.type = plain(btf_params(proto)[value.argument + first].type);
  return true;
}

bool Types::begin(Value& value, const std::string& base, const std::string& target, Way way, Cursor& at) const {
  if (base == "current") {
    value.base = Value::Base::kCurrent;
    const s64 id = btf__find_by_name_kind(btf_, "task_struct", BTF_KIND_STRUCT);
    at.type = static_cast<u32>(id);
    at.is_base = false;
    value.offsets.push_back(0);
    return id > 0;
  }
  const bool user = way & (kUprobe | kUretprobe | kUsdt);
  if (base == "ret") {
    value.base = Value::Base::kReturn;
    if (user) return true;
    u32 first = 0;
    const btf_type* proto = prototype(target, way, &first);
    if (!proto) return false;
    at.type = plain(proto->type);
    return true;
  }
  if (base.starts_with("arg") && base.size() == 4) {
    value.argument = static_cast<u32>(base[3] - '0');
    // A handler of a system call has one argument, whatever its prototype says.
    return user || begin_argument(value, target, way, at);
  }
  return false;
}

// kind: '>' and '.' a member, '(' a cast, '[' an index. A pointer is followed when something of what it points to is named.
bool Types::step(Value& value, const std::string& word, char kind, Cursor& at) const {
  const btf_type* t = btf__type_by_id(btf_, at.type);
  if (kind == '(') {
    const s64 id = btf__find_by_name_kind(btf_, word.c_str(), BTF_KIND_STRUCT);
    if (id < 0) return false;
    if (at.is_base || btf_is_ptr(t)) {
      if (!at.is_base) value.offsets.back() = at.offset;
      value.offsets.push_back(0);
      at.is_base = false;
      at.offset = 0;
    }
    value.known_steps = std::min(value.known_steps, static_cast<u32>(value.offsets.size() - 1));
    at.type = static_cast<u32>(id);
    return true;
  }
  if (kind == '[' && btf_is_array(t)) {
    at.type = plain(btf_array(t)->type);
    at.offset += static_cast<u32>(std::stoul(word) * static_cast<u64>(btf__resolve_size(btf_, at.type)));
    return true;
  }
  if (btf_is_ptr(t)) {
    if (!at.is_base) value.offsets.back() = at.offset;
    value.offsets.push_back(0);
    at = {plain(t->type), 0, false};
    if (!btf_is_composite(btf__type_by_id(btf_, at.type)))
      value.known_steps = std::min(value.known_steps, static_cast<u32>(value.offsets.size() - 1));
  }
  if (kind == '[') {
    at.offset += static_cast<u32>(std::stoul(word) * static_cast<u64>(btf__resolve_size(btf_, at.type)));
    return true;
  }
  return member(at.type, word, &at.offset, &at.type);
}

bool Types::walk(Value& value, const std::string& path, Cursor& at) const {
  for (size_t i = 0; i < path.size();) {
    char kind = path[i++];
    if (kind == '-') kind = path[i++];
    size_t end = path.find_first_of("-.([])", i);
    if (end == std::string::npos) end = path.size();
    if (!step(value, path.substr(i, end - i), kind, at)) return false;
    i = end + (kind == '(' || kind == '[' ? 1 : 0);
  }
  return true;
}

bool Types::end(Value& value, const Cursor& at) const {
  if (!at.is_base) value.offsets.back() = at.offset;
  const btf_type* t = at.type ? btf__type_by_id(btf_, at.type) : nullptr;
  const bool text = value.format == "str" || value.format == "ustr";
  if (text) {
    value.kind = value.format == "str" ? Value::Kind::kKernelText : Value::Kind::kUserText;
    value.through_pointer = !t || btf_is_ptr(t) || btf_is_int(t);
    return true;
  }
  if (!t) {
    value.is_signed = true;
    return true;
  }
  // A struct like kuid_t comes in a register.
  const bool small = at.is_base && btf_is_composite(t) && t->size <= 4;
  if (btf_is_ptr(t) || btf_is_array(t) || (btf_is_composite(t) && !small)) {
    value.kind = Value::Kind::kPointer;
    return btf_is_ptr(t);
  }
  const s64 size = btf__resolve_size(btf_, at.type);
  value.size = size > 0 ? static_cast<u32>(size) : 8;
  value.is_signed = (btf_is_int(t) && btf_int_encoding(t) & BTF_INT_SIGNED) || btf_is_any_enum(t);
  return value.size <= 8;
}

// Of "	field:const char * filename;	offset:16;	size:8;	signed:0;".
bool Types::field(Value& value, const std::string& wanted, const std::string& event) const {
  std::string path = "/sys/kernel/tracing/events/" + event;
  path[path.rfind(':')] = '/';
  std::istringstream lines(contents(path + "/format"));
  for (std::string line; std::getline(lines, line);) {
    const size_t end = line.find(';'), bracket = std::min(line.find('['), end);
    const size_t word = line.find_last_of(' ', bracket == end ? end : bracket);
    if (line.find("field:") == std::string::npos || line.substr(word + 1, bracket - word - 1) != wanted) {
      // "__data_loc char[] name" has its brackets before the name.
      if (line.find("__data_loc") == std::string::npos || line.substr(line.find_last_of(' ', end) + 1, end - line.find_last_of(' ', end) - 1) != wanted)
        continue;
    }
    const auto number = [&](const char* key) {
      const size_t at = line.find(key, end);
      return static_cast<u32>(std::stoul(line.substr(at + std::string(key).size())));
    };
    value.base = Value::Base::kField;
    value.offsets = {number("offset:")};
    value.size = number("size:");
    value.is_signed = number("signed:");
    value.data_loc = line.find("__data_loc") != std::string::npos;
    if (value.format == "str" || value.format == "ustr") {
      value.kind = value.format == "str" ? Value::Kind::kKernelText : Value::Kind::kUserText;
      value.through_pointer = !value.data_loc && bracket == end;
    }
    return true;
  }
  return false;
}

std::optional<std::vector<Value>> Types::values(const std::string& list, const std::string& target, Way way) const {
  std::vector<Value> values;
  std::istringstream words(list);
  for (std::string word; words >> word;) {
    Value value;
    const size_t equals = word.find('='), colon = word.find(':');
    value.name = word.substr(0, equals);
    if (colon != std::string::npos) value.format = word.substr(colon + 1);
    const std::string path = word.substr(equals + 1, colon == std::string::npos ? colon : colon - equals - 1);
    const size_t end = std::min(path.find_first_of("-.([)"), path.size());
    value.known_steps = ~0u;
    Cursor at;
    const bool is_field = way == kTracepoint && path.substr(0, end) != "current";
    const bool found = is_field ? field(value, path, target)
                                : begin(value, path.substr(0, end), target, way, at) &&
                                      walk(value, path.substr(end), at) && this->end(value, at);
    if (!found) return std::nullopt;
    values.push_back(value);
  }
  return values;
}

}  // namespace events

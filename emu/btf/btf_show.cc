// SPDX-License-Identifier: Apache-2.0
#include "emu/btf/btf_show.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxDepth = 64;  // checked BTF nests no deeper (kernel: MAX_RESOLVE_DEPTH)

// The kernel's isprint: Latin-1.
bool is_printable(u8 c) {
  return (c >= 0x20 && c <= 0x7e) || c >= 0xa0;
}

// Stands for the kernel's siphash with a key of its own: tells pointers apart and not where they point.
u64 hashed_pointer(u64 pointer) {
  if (pointer == 0) return 0;
  pointer = (pointer ^ pointer >> 33) * 0xff51afd7ed558ccd;
  return (pointer ^ pointer >> 33) & 0xffffffff;
}

class Shower {
 public:
  Shower(const Btf& btf, std::span<const u8> data, u64 flags) : btf_(btf), data_(data), flags_(flags) {}

  void show(u32 id, u64 at) {
    const btf_type* type = btf_.skip_modifiers(id);
    if (!type || steps_++ > kMaxSteps || depth_ > kMaxDepth) return;
    type_id_ = id;
    switch (Btf::kind(*type)) {
      case BTF_KIND_INT: return show_int(*type, at);
      case BTF_KIND_ENUM: return show_enum(*type, at);
      case BTF_KIND_ENUM64: return show_enum64(*type, at);
      case BTF_KIND_PTR: return show_pointer(number<u64>(at));
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION: return show_whole([&] { show_struct(*type, id, at); });
      case BTF_KIND_ARRAY: return show_whole([&] { show_array(*type, id, at); });
      case BTF_KIND_VAR: return show(type->type, at);
      case BTF_KIND_DATASEC: return show_section(*type, at);
      default: put(fmt::format("<unsupported kind:{}>", Btf::kind(*type)));
    }
  }
  std::string take() { return std::move(text_); }

 private:
  // An array of arrays of nothing has elements without end.
  static constexpr u64 kMaxSteps = 1 << 18;

  template <class T>
  T number(u64 at) const {
    T result = 0;
    if (at < data_.size()) std::memcpy(&result, data_.data() + at, std::min<u64>(sizeof result, data_.size() - at));
    return result;
  }
  void put(std::string_view text) {
    if (!only_looking_) text_ += text;
  }
  std::string indent() const {
    return flags_ & BTF_F_COMPACT ? std::string() : std::string(std::min(depth_, kMaxIndent), ' ');
  }
  std::string_view newline() const { return flags_ & BTF_F_COMPACT ? "" : "\n"; }
  std::string_view comma() const { return depth_ ? "," : ""; }
  // Without BTF_F_ZERO, zeros are shown where they are all that there is to show.
  void value(std::string_view shown, bool is_zero) {
    if (is_zero && !(flags_ & BTF_F_ZERO) && depth_ != 0) return;
    put(fmt::format("{}{}{}{}{}", indent(), type_name(), shown, comma(), newline()));
    deepest_shown_ = std::max(deepest_shown_, depth_);
  }
  void open() {
    put(fmt::format("{}{}{}", indent(), type_name(), newline()));
    ++depth_;
  }
  void close(char bracket) {
    --depth_;
    put(fmt::format("{}{}{}{}", indent(), bracket, comma(), newline()));
  }
  // A struct or an array within another is shown when something in it is: looks before it shows (kernel: depth_check).
  template <class Show>
  void show_whole(Show show) {
    if (depth_ != 0 && !(flags_ & BTF_F_ZERO)) {
      const btf_member* member = member_;
      if (!only_looking_) only_looking_ = depth_ + 1, deepest_shown_ = 0;
      show();
      member_ = member;
      if (only_looking_ != depth_ + 1) return;
      only_looking_ = 0;
      if (deepest_shown_ <= depth_) return;
    }
    show();
  }
  // ".member = (struct name){", or the bracket alone. Elements of an array have none of it, nor has anything in them
  // until an array in them has ended (kernel: btf_show_name).
  std::string type_name() const;
  // Modifiers but typedefs (kernel: btf_type_skip_qualifiers).
  const btf_type* skip_qualifiers(u32 id) const {
    const btf_type* type = btf_.type(id);
    for (u32 i = 0; type && i < kMaxDepth; ++i) {
      const u32 kind = Btf::kind(*type);
      if (kind != BTF_KIND_CONST && kind != BTF_KIND_VOLATILE && kind != BTF_KIND_RESTRICT && kind != BTF_KIND_TYPE_TAG)
        break;
      type = btf_.type(type->type);
    }
    return type;
  }

  void show_pointer(u64 pointer) {
    value(fmt::format("0x{:016x}", flags_ & BTF_F_PTR_RAW ? pointer : hashed_pointer(pointer)), pointer == 0);
  }
  void show_int(const btf_type& type, u64 at) {
    u32 data;
    std::memcpy(&data, &type + 1, sizeof data);
    const u32 bits = BTF_INT_BITS(data), offset = BTF_INT_OFFSET(data);
    const bool is_signed = BTF_INT_ENCODING(data) & BTF_INT_SIGNED;
    auto shown = [&]<class S>(S) {
      value(is_signed ? fmt::format("{}", s64{number<S>(at)})
                      : fmt::format("{}", u64{number<std::make_unsigned_t<S>>(at)}),
            number<S>(at) == 0);
    };
    if (offset != 0 || bits % 8 != 0) return show_bits(at + offset / 8, offset % 8, bits);
    switch (bits) {
      case 64: return shown(s64{});
      case 32: return shown(s32{});
      case 16: return shown(s16{});
      case 8:
        if (characters_ && show_character(at)) return;
        return shown(s8{});
      default: return show_bits(at, 0, bits);
    }
  }
  bool show_character(u64 at) {
    const u8 c = number<u8>(at);
    if (c == 0) terminated_ = true;
    if (terminated_) return true;
    if (!is_printable(c)) return false;
    value(fmt::format("'{}'", static_cast<char>(c)), false);
    return true;
  }
  // Up to 128 bits from bit `shift` of the byte on (kernel: btf_bitfield_show).
  void show_bits(u64 at, u32 shift, u32 bits) {
    unsigned __int128 all = number<u64>(at) | static_cast<unsigned __int128>(number<u64>(at + 8)) << 64;
    all >>= shift;
    if (bits < 128) all &= (static_cast<unsigned __int128>(1) << bits) - 1;
    const u64 upper = static_cast<u64>(all >> 64), lower = static_cast<u64>(all);
    value(upper ? fmt::format("0x{:x}{:016x}", upper, lower) : fmt::format("0x{:x}", lower), all == 0);
  }

  void show_enum(const btf_type& type, u64 at) {
    auto* values = reinterpret_cast<const btf_enum*>(&type + 1);
    const s32 found = number<s32>(at);
    for (u32 i = 0; i < Btf::vlen(type); ++i) {
      if (values[i].val == found)
        return value(name(values[i].name_off), false);  // the kernel looks at the name's address
    }
    value(Btf::kind_flag(type) ? fmt::format("{}", found) : fmt::format("{}", static_cast<u32>(found)), found == 0);
  }
  void show_enum64(const btf_type& type, u64 at) {
    auto* values = reinterpret_cast<const btf_enum64*>(&type + 1);
    const u64 found = number<u64>(at);
    for (u32 i = 0; i < Btf::vlen(type); ++i) {
      if ((u64{values[i].val_hi32} << 32 | values[i].val_lo32) == found) return value(name(values[i].name_off), false);
    }
    value(Btf::kind_flag(type) ? fmt::format("{}", static_cast<s64>(found)) : fmt::format("{}", found), found == 0);
  }
  std::string_view name(u32 offset) const {
    const char* text = btf_.string(offset);
    return text ? text : "(invalid-name-offset)";
  }

  void show_struct(const btf_type& type, u32 id, u64 at) {
    type_id_ = id;
    open();
    for (const btf_member& member : btf_.members(type)) {
      member_ = &member;
      const u32 offset = Btf::member_bit_offset(type, member), bits = Btf::member_bitfield_size(type, member);
      if (bits) {
        show_bits(at + offset / 8, offset % 8, bits);
      } else if (offset % 8 != 0) {
        show_old_bitfield(member.type, at, offset);
      } else {
        show(member.type, at + offset / 8);
      }
      member_ = nullptr;
    }
    close('}');
  }
  // A member of fewer bits than its bytes, in BTF from before bit field sizes were the member's.
  void show_old_bitfield(u32 id, u64 at, u32 offset) {
    const btf_type* type = btf_.skip_modifiers(id);
    if (!type || Btf::kind(*type) != BTF_KIND_INT) return;
    u32 data;
    std::memcpy(&data, type + 1, sizeof data);
    offset += BTF_INT_OFFSET(data);
    show_bits(at + offset / 8, offset % 8, BTF_INT_BITS(data));
  }

  void show_array(const btf_type& type, u32 id, u64 at) {
    type_id_ = id;
    const btf_array& array = btf_.array(type);
    const btf_type* element = btf_.skip_modifiers(array.type);
    // Of arrays of arrays and of pointers the kernel shows the first one each time: only types that say their size move
    // on.
    const u32 kind = element ? Btf::kind(*element) : u32{BTF_KIND_UNKN};
    const u64 step = kind == BTF_KIND_ARRAY || kind == BTF_KIND_PTR || !element ? 0 : element->size;
    open();
    characters_ = kind == BTF_KIND_INT && step == 1;
    terminated_ = false;
    for (u32 i = 0; element && i < array.nelems && !terminated_ && steps_ < kMaxSteps; ++i) {
      in_array_ = true;
      member_ = nullptr;
      show(array.type, at + i * step);
      in_array_ = false;
      member_ = nullptr;
    }
    characters_ = terminated_ = false;
    close(']');
  }

  // The kernel does not close it.
  void show_section(const btf_type& type, u64 at) {
    value(fmt::format("section (\"{}\") = {{", name(type.name_off)), false);
    auto* variables = reinterpret_cast<const btf_var_secinfo*>(&type + 1);
    for (u32 i = 0; i < Btf::vlen(type); ++i) {
      if (i) put(",");
      show(variables[i].type, at + variables[i].offset);
    }
  }

  static constexpr u32 kMaxIndent = 32;

  const Btf& btf_;
  std::span<const u8> data_;
  u64 flags_;
  std::string text_;
  u32 depth_ = 0;
  u32 only_looking_ = 0;   // one more than the depth of what is looked at; 0: it is shown
  u32 deepest_shown_ = 0;  // in what is looked at
  u64 steps_ = 0;
  u32 type_id_ = 0;
  const btf_member* member_ = nullptr;
  bool in_array_ = false, characters_ = false, terminated_ = false;
};

std::string Shower::type_name() const {
  if (in_array_) return {};
  constexpr u32 kMostSuffixes = 10;  // kernel: BTF_SHOW_MAX_ITER
  constexpr size_t kNameSize = 80;   // kernel: BTF_SHOW_NAME_SIZE
  const btf_type* type = btf_.type(member_ ? member_->type : type_id_);
  std::string_view own;
  std::string pointers, arrays;
  bool is_typedef = false;
  for (u32 i = 0; type; ++i) {
    if (i == kMostSuffixes) return {};
    const u32 kind = Btf::kind(*type);
    u32 next = 0;
    if (kind == BTF_KIND_TYPEDEF) {
      if (!is_typedef) own = name(type->name_off);
      is_typedef = true;
      next = type->type;
    } else if (kind == BTF_KIND_ARRAY) {
      arrays += "[]";
      next = btf_.array(*type).type;
    } else if (kind == BTF_KIND_PTR) {
      pointers += '*';
      next = type->type;
    }
    if (!next) break;
    type = skip_qualifiers(next);
  }
  if (!type) return {};
  if (!is_typedef) own = name(type->name_off);
  const u32 kind = Btf::kind(*type);
  const bool whole = kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION;
  std::string_view prefix = kind == BTF_KIND_STRUCT ? "struct" : kind == BTF_KIND_UNION ? "union" : "";
  if (kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64) prefix = "enum";
  if (is_typedef) prefix = "";
  const std::string_view bracket = !pointers.empty() ? "" : !arrays.empty() ? "[" : whole ? "{" : "";
  if (flags_ & BTF_F_NONAME) return std::string(bracket);
  std::string shown;
  const std::string_view of = member_ ? name(member_->name_off) : "";
  if (!of.empty()) shown = fmt::format(".{} = ", of);
  shown += fmt::format("({}{}{}{}{}{}){}", prefix, prefix.empty() || own.empty() ? "" : " ", own,
                       pointers.empty() ? "" : " ", pointers, arrays, bracket);
  return shown.substr(0, kNameSize - 1);
}

}  // namespace

std::string btf_show(const Btf& btf, u32 type_id, std::span<const u8> data, u64 flags) {
  Shower shower(btf, data, flags);
  shower.show(type_id, 0);
  return shower.take();
}

}  // namespace bpfemu

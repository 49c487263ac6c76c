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
  Shower(const Btf& btf, std::span<const u8> data) : btf_(btf), data_(data) {}

  void show(u32 id, u64 at) {
    const btf_type* type = btf_.skip_modifiers(id);
    if (!type || steps_++ > kMaxSteps || depth_ > kMaxDepth) return;
    switch (Btf::kind(*type)) {
      case BTF_KIND_INT: return show_int(*type, at);
      case BTF_KIND_ENUM: return show_enum(*type, at);
      case BTF_KIND_ENUM64: return show_enum64(*type, at);
      case BTF_KIND_PTR: return value(fmt::format("0x{:016x}", hashed_pointer(number<u64>(at))));
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION: return show_struct(*type, at);
      case BTF_KIND_ARRAY: return show_array(*type, at);
      case BTF_KIND_VAR: return show(type->type, at);
      case BTF_KIND_DATASEC: return show_section(*type, at);
      default: text_ += fmt::format("<unsupported kind:{}>", Btf::kind(*type));
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
  void value(std::string_view shown) {
    text_ += shown;
    if (depth_ != 0) text_ += ',';
  }
  // Elements of an array have no opening bracket, nor has anything in them until an array in them has ended: the
  // kernel's btf_show_name() leaves names of elements out, and a bracket is part of a name.
  void open(char bracket) {
    if (!in_array_) text_ += bracket;
    ++depth_;
  }
  void close(char bracket) {
    --depth_;
    value({&bracket, 1});
  }

  void show_int(const btf_type& type, u64 at) {
    u32 data;
    std::memcpy(&data, &type + 1, sizeof data);
    const u32 bits = BTF_INT_BITS(data), offset = BTF_INT_OFFSET(data);
    const bool is_signed = BTF_INT_ENCODING(data) & BTF_INT_SIGNED;
    auto shown = [&]<class S>(S) {
      value(is_signed ? fmt::format("{}", s64{number<S>(at)})
                      : fmt::format("{}", u64{number<std::make_unsigned_t<S>>(at)}));
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
    value(fmt::format("'{}'", static_cast<char>(c)));
    return true;
  }
  // Up to 128 bits from bit `shift` of the byte on (kernel: btf_bitfield_show).
  void show_bits(u64 at, u32 shift, u32 bits) {
    unsigned __int128 all = number<u64>(at) | static_cast<unsigned __int128>(number<u64>(at + 8)) << 64;
    all >>= shift;
    if (bits < 128) all &= (static_cast<unsigned __int128>(1) << bits) - 1;
    const u64 upper = static_cast<u64>(all >> 64), lower = static_cast<u64>(all);
    value(upper ? fmt::format("0x{:x}{:016x}", upper, lower) : fmt::format("0x{:x}", lower));
  }

  void show_enum(const btf_type& type, u64 at) {
    auto* values = reinterpret_cast<const btf_enum*>(&type + 1);
    const s32 found = number<s32>(at);
    for (u32 i = 0; i < Btf::vlen(type); ++i) {
      if (values[i].val == found) return value(name(values[i].name_off));
    }
    value(Btf::kind_flag(type) ? fmt::format("{}", found) : fmt::format("{}", static_cast<u32>(found)));
  }
  void show_enum64(const btf_type& type, u64 at) {
    auto* values = reinterpret_cast<const btf_enum64*>(&type + 1);
    const u64 found = number<u64>(at);
    for (u32 i = 0; i < Btf::vlen(type); ++i) {
      if ((u64{values[i].val_hi32} << 32 | values[i].val_lo32) == found) return value(name(values[i].name_off));
    }
    value(Btf::kind_flag(type) ? fmt::format("{}", static_cast<s64>(found)) : fmt::format("{}", found));
  }
  std::string_view name(u32 offset) const {
    const char* text = btf_.string(offset);
    return text ? text : "(invalid-name-offset)";
  }

  void show_struct(const btf_type& type, u64 at) {
    open('{');
    for (const btf_member& member : btf_.members(type)) {
      const u32 offset = Btf::member_bit_offset(type, member), bits = Btf::member_bitfield_size(type, member);
      if (bits) {
        show_bits(at + offset / 8, offset % 8, bits);
      } else if (offset % 8 != 0) {
        show_old_bitfield(member.type, at, offset);
      } else {
        show(member.type, at + offset / 8);
      }
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

  void show_array(const btf_type& type, u64 at) {
    const btf_array& array = btf_.array(type);
    const btf_type* element = btf_.skip_modifiers(array.type);
    // Of arrays of arrays and of pointers the kernel shows the first one each time: only types that say their size move on.
    const u32 kind = element ? Btf::kind(*element) : u32{BTF_KIND_UNKN};
    const u64 step = kind == BTF_KIND_ARRAY || kind == BTF_KIND_PTR || !element ? 0 : element->size;
    open('[');
    characters_ = kind == BTF_KIND_INT && step == 1;
    terminated_ = false;
    for (u32 i = 0; element && i < array.nelems && !terminated_ && steps_ < kMaxSteps; ++i) {
      in_array_ = true;
      show(array.type, at + i * step);
      in_array_ = false;
    }
    characters_ = terminated_ = false;
    close(']');
  }

  // The kernel does not close it.
  void show_section(const btf_type& type, u64 at) {
    value(fmt::format("section (\"{}\") = {{", name(type.name_off)));
    auto* variables = reinterpret_cast<const btf_var_secinfo*>(&type + 1);
    for (u32 i = 0; i < Btf::vlen(type); ++i) {
      if (i) text_ += ',';
      show(variables[i].type, at + variables[i].offset);
    }
  }

  const Btf& btf_;
  std::span<const u8> data_;
  std::string text_;
  u32 depth_ = 0;
  u64 steps_ = 0;
  bool in_array_ = false, characters_ = false, terminated_ = false;
};

}  // namespace

std::string btf_show(const Btf& btf, u32 type_id, std::span<const u8> data) {
  Shower shower(btf, data);
  shower.show(type_id, 0);
  return shower.take();
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/btf/btf_check.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxSize = 16 << 20;   // kernel: BTF_MAX_SIZE
constexpr u32 kMaxIdentifier = 512;  // kernel: KSYM_NAME_LEN

// The kernel's isalpha knows Latin-1.
bool is_letter(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= 0xc0 && c != 0xd7 && c != 0xf7);
}
bool is_name_character(unsigned char c, bool first) {
  return is_letter(c) || c == '_' || c == '.' || (!first && c >= '0' && c <= '9');
}

}  // namespace

Result<std::shared_ptr<Btf>> Btf::load(std::vector<u8> raw, VerifierLog* log,
                                       const std::function<void()>& breathe) {
  if (raw.size() > kMaxSize) return fail(E2BIG);
  auto btf = std::shared_ptr<Btf>(new Btf);
  btf->raw_ = std::move(raw);
  VerifierLog silent(0, 0);
  VerifierLog& out = log ? *log : silent;
  TRY(BtfCheck(*btf, out, breathe).run());
  if (out.overflowed()) return fail(ENOSPC);
  return btf;
}

bool btf_is_modifier(const btf_type& type) {
  switch (Btf::kind(type)) {
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_TYPE_TAG: return true;
  }
  return false;
}

bool btf_int_is_regular(const btf_type& type) {
  u32 bits = BTF_INT_BITS(btf_int_data(type));
  return bits >= 8 && bits <= 128 && is_power_of_two(bits) && BTF_INT_OFFSET(btf_int_data(type)) == 0;
}

bool BtfCheck::name_offset_valid(u32 offset) const {
  return offset <= BTF_MAX_NAME_OFFSET && offset < btf_.strings_.size();
}

bool BtfCheck::is_identifier(u32 offset) const {
  const char* text = name(offset);
  if (!text || !is_name_character(*text, true)) return false;
  size_t length = 1;
  while (text[length] && length < kMaxIdentifier && is_name_character(text[length], false)) ++length;
  return text[length] == 0;
}

Result<void> BtfCheck::run() {
  TRY(header());
  return type_tags();
}

// kernel: btf_parse_hdr.
Result<void> BtfCheck::header() {
  const std::vector<u8>& raw = btf_.raw_;
  if (raw.size() < offsetof(btf_header, type_off)) return refuse("hdr_len not found");
  u32 length = load<u32>(raw.data() + offsetof(btf_header, hdr_len));
  if (raw.size() < length) return refuse("btf_header not found");
  for (u32 i = sizeof(btf_header); i < length; ++i) {
    if (raw[i] != 0) return refuse("Unsupported btf_header", E2BIG);
  }
  btf_header header{};
  std::memcpy(&header, raw.data(), std::min<size_t>(length, sizeof header));
  log_.print("magic: 0x{:x}\n", header.magic);
  log_.print("version: {}\n", header.version);
  log_.print("flags: 0x{:x}\n", header.flags);
  log_.print("hdr_len: {}\n", header.hdr_len);
  log_.print("type_off: {}\n", header.type_off);
  log_.print("type_len: {}\n", header.type_len);
  log_.print("str_off: {}\n", header.str_off);
  log_.print("str_len: {}\n", header.str_len);
  log_.print("btf_total_size: {}\n", raw.size());
  if (header.magic != BTF_MAGIC) return refuse("Invalid magic");
  if (header.version != BTF_VERSION) return refuse("Unsupported version", ENOTSUPP);
  if (header.flags != 0) return refuse("Unsupported flags", ENOTSUPP);
  if (raw.size() == header.hdr_len) return refuse("No data");
  TRY(sections(header));
  TRY(string_section(header));
  return type_section(header);
}

// The two sections must fill what follows the header, without gap or overlap (kernel: btf_check_sec_info).
Result<void> BtfCheck::sections(const btf_header& header) {
  struct Section {
    u32 offset, length;
  };
  std::array<Section, 2> sections{{{header.type_off, header.type_len}, {header.str_off, header.str_len}}};
  // The kernel orders by signed difference, which shows with offsets beyond 2 GiB.
  std::sort(sections.begin(), sections.end(), [](const Section& a, const Section& b) {
    return static_cast<s32>(a.offset != b.offset ? a.offset - b.offset : a.length - b.length) < 0;
  });
  u32 expected = static_cast<u32>(btf_.raw_.size()) - header.hdr_len, total = 0;
  for (const Section& section : sections) {
    if (expected < section.offset) return refuse("Invalid section offset");
    if (total < section.offset) return refuse("Unsupported section found");
    if (total > section.offset) return refuse("Section overlap found");
    if (expected - total < section.length) return refuse("Total section length too long");
    total += section.length;
  }
  if (expected != total) return refuse("Unsupported section found");
  return {};
}

// kernel: btf_parse_str_sec.
Result<void> BtfCheck::string_section(const btf_header& header) {
  std::span<const u8> data = std::span<const u8>(btf_.raw_).subspan(header.hdr_len);
  if (header.str_off + header.str_len != data.size()) return refuse("String section is not at the end");
  btf_.strings_ = data.subspan(header.str_off);
  if (header.str_len == 0 || header.str_len - 1 > BTF_MAX_NAME_OFFSET || btf_.strings_.back() != 0 ||
      btf_.strings_.front() != 0) {
    return refuse("Invalid string section");
  }
  return {};
}

// kernel: btf_parse_type_sec.
Result<void> BtfCheck::type_section(const btf_header& header) {
  if (header.type_off % 4 != 0) return refuse("Unaligned type_off");
  if (header.type_len == 0) return refuse("No type found");
  const u8* start = btf_.raw_.data() + header.hdr_len + header.type_off;
  if (header.hdr_len % 4 != 0) {
    // Only the offset must be aligned, not the header's length: such types live in a copy.
    btf_.realigned_.assign(start, start + header.type_len);
    start = btf_.realigned_.data();
  }
  btf_.types_ = {start, header.type_len};
  btf_.offsets_.assign(1, 0);
  shown_id_ = 1;
  for (u32 at = 0; at < header.type_len; ++shown_id_) {
    breathe_();
    u32 size = TRY(meta(at));
    if (btf_.offsets_.size() == BTF_MAX_TYPE) return refuse("Exceeded max num of types", E2BIG);
    btf_.offsets_.push_back(at);
    at += size;
  }
  return all_types();
}

// Type tags come before all other modifiers of a chain (kernel: btf_check_type_tags).
Result<void> BtfCheck::type_tags() {
  u32 checked = 0;
  for (u32 id = 1; id < btf_.type_count(); ++id) {
    breathe_();
    const btf_type* type = btf_.type(id);
    if (!btf_is_modifier(*type)) continue;
    bool in_tags = Btf::kind(*type) == BTF_KIND_TYPE_TAG;
    u32 current = id;
    for (u32 length = 0; btf_is_modifier(*type); ++length) {
      if (length == kMaxResolveDepth) return refuse("Max chain length or cycle detected", ELOOP);
      bool tag = Btf::kind(*type) == BTF_KIND_TYPE_TAG;
      if (tag && !in_tags) return refuse("Type tags don't precede modifiers");
      in_tags = tag;
      if (current <= checked) break;
      current = type->type;
      type = btf_.type(current);
      if (!type) return fail(EINVAL);
    }
    checked = id;
  }
  return {};
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/kstrtox.h"

#include <cctype>
#include <charconv>
#include <climits>

namespace bpfemu {

namespace {

bool is_hex(char c) { return std::isxdigit(static_cast<unsigned char>(c)); }

// Cuts "0x" off and says which base the digits have.
int take_prefix(std::string_view& text, int base) {
  bool hex = text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') && is_hex(text[2]);
  if (hex && (base == 0 || base == 16)) {
    text.remove_prefix(2);
    return 16;
  }
  if (base != 0) return base;
  return text.starts_with('0') ? 8 : 10;
}

}  // namespace

Result<u64> kstrtoul(std::string_view text, int base) {
  if (text.starts_with('+')) text.remove_prefix(1);
  base = take_prefix(text, base);
  if (text.ends_with('\n')) text.remove_suffix(1);
  u64 value = 0;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (error == std::errc::result_out_of_range) return fail(ERANGE);
  if (error != std::errc() || stop != end) return fail(EINVAL);
  return value;
}

Result<s64> kstrtol(std::string_view text, int base) {
  bool negative = text.starts_with('-');
  if (negative) {
    text.remove_prefix(1);
    if (text.starts_with('+')) return fail(EINVAL);
  }
  u64 value = TRY(kstrtoul(text, base));
  if (value > static_cast<u64>(LONG_MAX) + negative) return fail(ERANGE);
  return static_cast<s64>(negative ? -value : value);
}

u64 simple_strtoul(std::string_view& text, int base) {
  base = take_prefix(text, base);
  u64 value = 0;
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  text.remove_prefix(static_cast<size_t>(stop - text.data()));
  return error == std::errc::result_out_of_range ? ~u64{0} : value;
}

}  // namespace bpfemu

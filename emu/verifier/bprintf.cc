// SPDX-License-Identifier: Apache-2.0
#include "emu/verifier/bprintf.h"

#include <string_view>

namespace bpfemu {

namespace {

bool is_ascii(char c) {
  return static_cast<u8>(c) < 0x80;
}
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_print(char c) {
  return c >= ' ' && c <= '~';
}
bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_punct(char c) {
  return is_print(c) && c != ' ' && !is_alnum(c);
}
// What may follow a conversion that takes suffixes.
bool ends_word(char c) {
  return c == 0 || is_space(c) || is_punct(c);
}
bool is_any_of(char c, std::string_view set) {
  return c != 0 && set.find(c) != set.npos;
}

// After "%p": the last character of the conversion, null when it is none of ours.
const char* pointer_end(const char* p) {
  if (ends_word(p[1])) return p;
  if (is_any_of(p[1], "ku") && p[2] == 's') return ends_word(p[3]) ? p + 2 : nullptr;
  if (is_any_of(p[1], "KxsSB")) return p + 1;
  return is_any_of(p[1], "iI") && is_any_of(p[2], "46") ? p + 2 : nullptr;
}

// After '%': the same for all conversions.
const char* conversion_end(const char* p) {
  if (!is_ascii(*p)) return nullptr;
  while (is_any_of(*p, "0+- ")) ++p;
  while (*p >= '0' && *p <= '9') ++p;
  if (*p == 'p') return pointer_end(p);
  if (*p == 's') return ends_word(p[1]) ? p : nullptr;
  if (*p == 'c') return p;
  for (int longs = 0; longs < 2 && *p == 'l'; ++longs) ++p;
  return is_any_of(*p, "iduxX") ? p : nullptr;
}

}  // namespace

bool is_valid_format(const char* p, u64 args) {
  for (u64 used = 0; *p; ++p) {
    if (is_ascii(*p) && !is_print(*p) && !is_space(*p)) return false;
    if (*p != '%') continue;
    if (p[1] == '%') {
      ++p;
      continue;
    }
    if (used++ >= args) return false;
    p = conversion_end(p + 1);
    if (!p) return false;
  }
  return true;
}

}  // namespace bpfemu

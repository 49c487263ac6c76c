// SPDX-License-Identifier: Apache-2.0
// Character classes of ASCII, as lib/ctype.c has them for these bytes. Runtime code.
#pragma once

namespace bpfemu {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_alnum(char c) {
  return is_digit(c) || is_alpha(c);
}
constexpr bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
constexpr bool is_print(char c) {
  return c >= ' ' && c <= '~';
}
constexpr bool is_punct(char c) {
  return c > ' ' && c <= '~' && !is_alnum(c);
}

}  // namespace bpfemu

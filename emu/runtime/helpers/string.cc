// SPDX-License-Identifier: Apache-2.0
// Numbers in strings, string comparison, checksums.
#include "emu/base/bytes.h"
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/helpers/ctype.h"

namespace bpfemu {

namespace {

constexpr u64 kBaseMask = 0x1f;  // BPF_STRTOX_BASE_MASK
constexpr u32 kMaxDigits = 63;   // what the kernel copies of the number

struct Number {
  u64 magnitude = 0;
  bool negative = false;
};

u32 digit_value(char c) {
  if (is_digit(c)) return static_cast<u32>(c - '0');
  char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? static_cast<u32>(lower - 'a' + 10) : 16;
}

// Skips the prefix of the base, and finds the base when it is 0 (kernel: _parse_integer_fixup_radix).
u32 skip_prefix(const char* at, u32 length, u32& base) {
  bool hex = length > 1 && at[0] == '0' && (at[1] | 0x20) == 'x';
  if (base == 0) {
    bool hex_number = hex && length > 2 && digit_value(at[2]) < 16;
    base = hex_number ? 16 : length && at[0] == '0' ? 8 : 10;
  }
  return base == 16 && hex ? 2 : 0;
}

// Bytes consumed, or -errno (kernel: __bpf_strtoull).
s64 parse(const char* text, u64 size, u64 flags, Number& number) {
  u32 base = flags & kBaseMask;
  if (!text || !size || (flags & ~kBaseMask)) return -EINVAL;
  if (base != 0 && base != 8 && base != 10 && base != 16) return -EINVAL;
  u64 at = 0;
  while (at < size && is_space(text[at])) ++at;
  number.negative = at < size && text[at] == '-';
  if (number.negative) ++at;
  if (at == size) return -EINVAL;
  u32 limit = static_cast<u32>(size - at < kMaxDigits ? size - at : kMaxDigits);
  u32 start = skip_prefix(text + at, limit, base), i = start;
  bool overflow = false;
  for (; i < limit && digit_value(text[at + i]) < base; ++i) {
    overflow |= __builtin_mul_overflow(number.magnitude, base, &number.magnitude);
    overflow |= __builtin_add_overflow(number.magnitude, digit_value(text[at + i]), &number.magnitude);
  }
  if (overflow) return -ERANGE;
  return i == start ? -EINVAL : static_cast<s64>(at + i);
}

}  // namespace

HELPER(help_strtol) {
  s64& to = *pointer_to<s64>(r4);
  to = 0;
  Number number;
  s64 used = parse(pointer_to<const char>(r1), r2, r3, number);
  if (used < 0) return result(used);
  s64 value = static_cast<s64>(number.negative ? -number.magnitude : number.magnitude);
  if (number.negative ? value > 0 : value < 0) return result(-ERANGE);
  to = value;
  return result(used);
}

HELPER(help_strtoul) {
  u64& to = *pointer_to<u64>(r4);
  to = 0;
  Number number;
  s64 used = parse(pointer_to<const char>(r1), r2, r3, number);
  if (used < 0) return result(used);
  if (number.negative) return result(-EINVAL);
  to = number.magnitude;
  return result(used);
}

HELPER(help_strncmp) {
  const u8 *a = pointer_to<const u8>(r1), *b = pointer_to<const u8>(r3);
  for (u32 i = 0; i < low32(r2); ++i) {
    if (a[i] != b[i]) return result(a[i] < b[i] ? -1 : 1);
    if (!a[i]) break;
  }
  return 0;
}

}  // namespace bpfemu

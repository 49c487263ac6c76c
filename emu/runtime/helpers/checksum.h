// SPDX-License-Identifier: Apache-2.0
// Sums of the Internet checksum: ones' complement, in whatever byte order the data has. Runtime code.
#pragma once

#include "emu/base/bytes.h"

namespace bpfemu {

inline u32 csum_add(u32 a, u32 b) {
  u32 sum = a + b;
  return sum + (sum < a);
}
inline u32 csum_sub(u32 a, u32 b) {
  return csum_add(a, ~b);
}
// Of any bytes; an odd one counts as the first of two (kernel: csum_partial).
inline u32 csum_of(const u8* bytes, u32 size) {
  u32 sum = 0;
  for (; size >= sizeof(u32); bytes += sizeof(u32), size -= sizeof(u32)) sum = csum_add(sum, load<u32>(bytes));
  u32 rest = 0;
  __builtin_memcpy(&rest, bytes, size);
  return csum_add(sum, rest);
}
// The checksum itself (kernel: csum_fold).
inline u16 csum_fold(u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<u16>(~sum);
}

}  // namespace bpfemu

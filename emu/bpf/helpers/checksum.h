// SPDX-License-Identifier: Apache-2.0
// Sums of the Internet checksum: ones' complement, in whatever byte order the data has. Runtime code.
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

inline u32 csum_add(u32 a, u32 b) {
  u32 sum = a + b;
  return sum + (sum < a);
}
inline u32 csum_sub(u32 a, u32 b) {
  return csum_add(a, ~b);
}
// The checksum itself (kernel: csum_fold).
inline u16 csum_fold(u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<u16>(~sum);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Bob Jenkins' lookup3, which decides in the kernel, too, in which bucket a key is (kernel: jhash, jhash2): with
// BPF_F_ZERO_SEED the order of a hash table's elements is the same everywhere. Runtime code.
#pragma once

#include "emu/base/bytes.h"

namespace bpfemu {

inline u32 jhash(const void* key, u32 size, u32 seed) {
  auto rol = [](u32 x, int bits) { return x << bits | x >> (32 - bits); };
  const u8* at = static_cast<const u8*>(key);
  u32 a = 0xdeadbeef + size + seed, b = a, c = a;
  for (; size > 12; size -= 12, at += 12) {
    a += load<u32>(at), b += load<u32>(at + 4), c += load<u32>(at + 8);
    a -= c, a ^= rol(c, 4), c += b;
    b -= a, b ^= rol(a, 6), a += c;
    c -= b, c ^= rol(b, 8), b += a;
    a -= c, a ^= rol(c, 16), c += b;
    b -= a, b ^= rol(a, 19), a += c;
    c -= b, c ^= rol(b, 4), b += a;
  }
  if (size == 0) return c;
  // Up to twelve bytes, as three words that end in zeros.
  u32 word = 0;
  u32* sums[] = {&a, &b, &c};
  u32 whole = size / 4;
  for (u32 i = 0; i < whole; ++i) *sums[i] += load<u32>(at + 4 * i);
  for (u32 i = whole * 4; i < size; ++i) word |= u32{at[i]} << i % 4 * 8;
  if (size % 4) *sums[whole] += word;
  c ^= b, c -= rol(b, 14);
  a ^= c, a -= rol(c, 11);
  b ^= a, b -= rol(a, 25);
  c ^= b, c -= rol(b, 16);
  a ^= c, a -= rol(c, 4);
  b ^= a, b -= rol(a, 14);
  c ^= b, c -= rol(b, 24);
  return c;
}

}  // namespace bpfemu

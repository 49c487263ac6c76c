// SPDX-License-Identifier: Apache-2.0
// Unaligned loads and stores and the kernel's rounding macros. Freestanding: usable in the runtime.
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

template <class T>
inline T load(const void* from) {
  T value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
inline void store(void* to, T value) {
  __builtin_memcpy(to, &value, sizeof value);
}

// `to` must be a power of two.
constexpr u64 round_up(u64 n, u64 to) { return (n + to - 1) & ~(to - 1); }
constexpr u64 round_down(u64 n, u64 to) { return n & ~(to - 1); }
constexpr bool is_power_of_two(u64 n) { return n != 0 && (n & (n - 1)) == 0; }
constexpr u64 round_up_power_of_two(u64 n) { return n <= 1 ? 1 : u64{1} << (64 - __builtin_clzll(n - 1)); }

}  // namespace bpfemu

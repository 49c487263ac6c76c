// SPDX-License-Identifier: Apache-2.0
// The arena: one sparse memfd at one fixed address that holds everything programs touch (maps, ring buffers, kernel
// objects, JIT code), so that the same pointers are good in the supervisor and in a traced process. Runtime code.
//
// 0x551000000000 lies below the lowest PIE base and inside what ASan, TSan and MSan leave free.
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

inline constexpr u64 kArenaBase = 0x551000000000;
inline constexpr u64 kArenaSpan = u64{256} << 30;
inline constexpr u64 kPageSize = 4096;
inline constexpr u32 kMaxCpus = 128;

// Is [address, address + size) inside the arena's address range? The model's "is this a kernel address".
inline bool in_arena(u64 address, u64 size) {
  return address >= kArenaBase && size <= kArenaSpan && address - kArenaBase <= kArenaSpan - size;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// BTF for values of maps.
#pragma once

#include <vector>

#include "emu/base/types.h"

namespace bpfemu::fuzz {

// 1 int, 2 u64 bytes, 3 struct bpf_spin_lock, 4 its user, 5 struct bpf_timer, 6 its user, 7 array of 2 u64,
// 8 and 10 prototypes, 9 and 11 the functions.
std::vector<u8> value_btf();
inline constexpr u32 kIntType = 1, kLongType = 2, kLockedType = 4, kTimedType = 6;
inline constexpr u32 kLockedSize = 16, kTimedSize = 24;

}  // namespace bpfemu::fuzz

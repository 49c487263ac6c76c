// SPDX-License-Identifier: Apache-2.0
// The arguments of clone3, which the kernel reads from memory that any other thread may write meanwhile.
#pragma once

#include <linux/sched.h>

#include <array>
#include <optional>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu {

inline constexpr size_t kMostCloneArgs = 4096;  // PAGE_SIZE: more is E2BIG

// clone() with the same effect, whose arguments are registers; CLONE_UNTRACED is left out. Nothing: there is none, or
// the kernel has something to say against them. `bytes` as the program gave them.
std::optional<std::array<u64, 6>> as_clone(const std::vector<u8>& bytes);

}  // namespace bpfemu

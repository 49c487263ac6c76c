// SPDX-License-Identifier: Apache-2.0
// What a debug register watches.
#pragma once

#include <compare>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu {

inline constexpr size_t kDebugRegisters = 4;  // kernel: HBP_NUM

struct Watch {
  u64 address = 0;
  u32 type = 0;    // HW_BREAKPOINT_W, HW_BREAKPOINT_RW or HW_BREAKPOINT_X
  u32 length = 0;  // 1, 2, 4 or 8; of an instruction 8
  auto operator<=>(const Watch&) const = default;
};
using Watches = std::vector<Watch>;  // in the order of the registers, at most kDebugRegisters

}  // namespace bpfemu

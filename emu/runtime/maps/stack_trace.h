// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_STACK_TRACE: stacks under ids that are their hash. Runtime code.
#pragma once

#include "emu/runtime/maps/map.h"

namespace bpfemu {

inline constexpr u32 kMaxStackDepth = 127;  // sysctl_perf_event_max_stack

// How many addresses a value holds.
u32 stack_depth(const Map& map);
// The id of this stack, stored if it is new (kernel: __bpf_get_stackid, after BPF_F_SKIP_FIELD_MASK was applied).
s64 stack_put(Run* run, Map& map, const u64* ips, u32 count, u64 flags);

}  // namespace bpfemu

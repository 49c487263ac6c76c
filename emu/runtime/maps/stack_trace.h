// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_STACK_TRACE: stacks under ids that are their hash. Runtime code.
#pragma once

#include <linux/bpf.h>

#include "emu/runtime/maps/map.h"

namespace bpfemu {

inline constexpr u32 kMaxStackDepth = 127;  // sysctl_perf_event_max_stack

// Records of build ids for addresses of the task's code, or of the kernel's, which has none (kernel:
// stack_map_get_build_id_offset).
void put_build_ids(Run* run, bool user, bpf_stack_build_id* to, const u64* ips, u32 count);
// How many addresses a value holds.
u32 stack_depth(const Map& map);
// The id of this stack, stored if it is new (kernel: __bpf_get_stackid, after BPF_F_SKIP_FIELD_MASK was applied).
s64 stack_put(Run* run, Map& map, const u64* ips, u32 count, u64 flags);

}  // namespace bpfemu

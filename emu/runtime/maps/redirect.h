// SPDX-License-Identifier: Apache-2.0
// Values of CPUMAP, DEVMAP and DEVMAP_HASH. Runtime code.
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

// struct bpf_cpumap_val and struct bpf_devmap_val: 0 as the first word is an empty slot. A program is named by its id;
// who writes one from a descriptor has put that in its place.
struct RedirectTarget {
  u32 where;  // queue size, or interface index
  s32 program;
};
inline constexpr s32 kNoTargetProgram = -1;  // what was named is no program for the map

inline constexpr u32 kMaxCpuQueue = 16384;

}  // namespace bpfemu

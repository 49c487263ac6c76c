// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_STRUCT_OPS: the one element is a structure of the kernel whose functions are programs (kernel: struct
// bpf_struct_ops_map). The control plane registers it. Runtime code.
#pragma once

#include "emu/runtime/maps/map.h"

namespace bpfemu {

// Kernel: BPF_STRUCT_OPS_COMMON_VALUE, which begins every value.
struct StructOpsHead {
  u32 references;
  u32 state;
};

// Kernel: enum bpf_struct_ops_state.
enum : u32 { kStructOpsInit, kStructOpsInUse, kStructOpsToBeFree };

struct StructOpsMap : Map {
  u32 state;
  u32 references;  // beside those of descriptors and pins: the registration's, and of each that uses the structure

  u8* value() { return reinterpret_cast<u8*>(this + 1); }  // with ids in the place of programs' descriptors
};

}  // namespace bpfemu

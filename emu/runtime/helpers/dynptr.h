// SPDX-License-Identifier: Apache-2.0
// What the two stack slots of a dynptr hold. Runtime code.
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

// Kernel: struct bpf_dynptr_kern.
struct Dynptr {
  u64 data;  // 0: invalid, what the helpers that make one leave behind when they fail
  u32 size;
  u32 offset;
};

inline Dynptr& dynptr_at(u64 address) {
  return *reinterpret_cast<Dynptr*>(address);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// How the kinds of BTF types are laid out: one row a kind (emu/abi/btf_kinds.inc).
#pragma once

#include <linux/btf.h>

#include "emu/base/types.h"

namespace bpfemu {

struct BtfKindLayout {
  const char* name;  // as the kernel's log calls it
  u32 extra;         // bytes after struct btf_type
  u32 per_element;   // and for each of its vlen elements
  bool has_size;     // btf_type::size, else ::type
};

inline constexpr BtfKindLayout kBtfKinds[] = {
#define BTF_KIND(name, log_name, extra, per_element, has_size) {log_name, extra, per_element, has_size},
#include "emu/abi/btf_kinds.inc"
#undef BTF_KIND
};
static_assert(sizeof kBtfKinds / sizeof kBtfKinds[0] == BTF_KIND_MAX + 1);

// Bytes of a type with all that belongs to it. `kind` must be a known one.
inline u32 btf_type_bytes(u32 kind, u32 vlen) {
  return sizeof(btf_type) + kBtfKinds[kind].extra + kBtfKinds[kind].per_element * vlen;
}

}  // namespace bpfemu

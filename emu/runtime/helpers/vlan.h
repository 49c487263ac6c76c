// SPDX-License-Identifier: Apache-2.0
// The types that an Ethernet header has in front of a VLAN tag, in network byte order. Runtime code.
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

inline constexpr u16 kVlan8021q = __builtin_bswap16(0x8100), kVlan8021ad = __builtin_bswap16(0x88a8);

// Kernel: eth_type_vlan.
inline bool is_vlan(u32 protocol) {
  return protocol == kVlan8021q || protocol == kVlan8021ad;
}

}  // namespace bpfemu

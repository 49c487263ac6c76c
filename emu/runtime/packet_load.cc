// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/packet_load.h"

#include <linux/filter.h>

#include "emu/base/bytes.h"
#include "emu/runtime/contexts.h"

namespace bpfemu {
namespace {

constexpr u64 kFault = static_cast<u64>(-14);  // -EFAULT

// Where a load starts (kernel: bpf_internal_load_pointer_neg_helper), 0 for an offset that means nothing.
u64 load_address(const RunSkb& skb, s32 offset) {
  if (offset >= 0) return skb.data + static_cast<u32>(offset);
  if (offset >= SKF_NET_OFF) return skb.network_header + static_cast<u32>(offset - SKF_NET_OFF);
  if (offset >= SKF_LL_OFF) return skb.mac_header + static_cast<u32>(offset - SKF_LL_OFF);
  return 0;
}

}  // namespace

u64 packet_load(u64 skb_address, u64 offset, u64 size, u64, u64, Run*) {
  const RunSkb& skb = *reinterpret_cast<const RunSkb*>(skb_address);
  u64 from = load_address(skb, static_cast<s32>(offset));
  if (from < skb.head || from + size > skb.data_end) return kFault;
  switch (size) {
    case 1: return load<u8>(reinterpret_cast<const void*>(from));
    case 2: return __builtin_bswap16(load<u16>(reinterpret_cast<const void*>(from)));
    default: return __builtin_bswap32(load<u32>(reinterpret_cast<const void*>(from)));
  }
}

}  // namespace bpfemu

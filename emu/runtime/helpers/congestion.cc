// SPDX-License-Identifier: Apache-2.0
// Explicit congestion notification (kernel: INET_ECN_set_ce). Runtime code.
#include "emu/base/bytes.h"
#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/helpers/checksum.h"
#include "emu/runtime/helpers/vlan.h"

namespace bpfemu {

namespace {

constexpr u8 kNotCapable = 0, kCongested = 3, kMask = 3;

// What is behind all VLAN tags in the data, 0: too many, or the packet ends (kernel: vlan_get_protocol).
u16 inner_protocol(const RunSkb& skb) {
  constexpr u32 kMostTags = 7, kTag = 4;
  u16 protocol = static_cast<u16>(skb.protocol);
  u32 at = kEthernetHeader;
  for (u32 tags = 0; is_vlan(protocol); ++tags, at += kTag) {
    if (tags == kMostTags || skb.len < at + kTag) return 0;
    protocol = load<u16>(pointer_to<u8>(skb.data + at + 2));
  }
  return protocol;
}

// The class is in the second byte; the header's sum follows it.
u64 mark_ipv4(u8* header) {
  const u8 old = header[1] & kMask;
  if (old == kNotCapable) return 0;
  if (old == kCongested) return 1;
  const u32 sum = load<u16>(header + 10) + u32{__builtin_bswap16(static_cast<u16>(0xfffb + old + 1))};
  store<u16>(header + 10, static_cast<u16>(sum + (sum >> 16)));
  header[1] |= kCongested;
  return 1;
}

u64 mark_ipv6(RunSkb& skb, u8* header) {
  const u32 old = load<u32>(header), marked = old | __builtin_bswap32(u32{kCongested} << 20);
  if (!(__builtin_bswap32(old) >> 20 & kMask)) return 0;
  store<u32>(header, marked);
  if (skb.csum_complete) skb.csum = csum_add(csum_sub(skb.csum, old), marked);
  return 1;
}

}  // namespace

// 1: the packet says that the way is congested; 0: its sender would not understand.
HELPER(help_skb_ecn_set_ce) {
  RunSkb& skb = skb_at(r1);
  const u16 protocol = inner_protocol(skb);
  const u32 size = protocol == kProtocolIpv4 ? 20 : protocol == kProtocolIpv6 ? 40 : 0;
  if (!size || skb.len < size || skb.network_header + size > skb.data_end) return 0;
  u8* header = pointer_to<u8>(skb.network_header);
  return protocol == kProtocolIpv4 ? mark_ipv4(header) : mark_ipv6(skb, header);
}

}  // namespace bpfemu

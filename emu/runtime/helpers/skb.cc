// SPDX-License-Identifier: Apache-2.0
// VLAN tags, and what belongs to a packet beside its data (struct sk_buff). Runtime code.
#include <linux/bpf.h>

#include "emu/base/bytes.h"
#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/helpers/checksum.h"
#include "emu/runtime/helpers/skb_room.h"
#include "emu/runtime/helpers/vlan.h"

namespace bpfemu {

namespace {

constexpr u64 kAddresses = 12, kVlanTag = 4, kVlanHeader = kEthernetHeader + kVlanTag;
constexpr u16 kRaw8023 = __builtin_bswap16(0x0001), kLlc = __builtin_bswap16(0x0004);
constexpr u16 kFirstProtocol = 0x0600;

void set_tag(RunSkb& skb, u16 protocol, u16 tci) {
  skb.vlan_present = 1;
  skb.vlan_proto = protocol;
  skb.vlan_tci = tci;
}

// The tag that the packet carries beside its data goes into the data (kernel: __vlan_insert_tag).
s64 insert_tag(RunSkb& skb) {
  if (!make_headroom(skb, kVlanTag)) return -ENOMEM;
  push(skb, kVlanTag);
  u8* start = pointer_to<u8>(skb.data);
  __builtin_memmove(start, start + kVlanTag, kAddresses);
  skb.mac_header -= kVlanTag;
  store<u16>(start + kAddresses, static_cast<u16>(skb.vlan_proto));
  store<u16>(start + kAddresses + 2, __builtin_bswap16(static_cast<u16>(skb.vlan_tci)));
  if (skb.csum_complete) skb.csum = csum_add(skb.csum, load<u32>(start + kAddresses));
  skb.protocol = skb.vlan_proto;
  return 0;
}

// ... and comes out of it (kernel: __skb_vlan_pop).
s64 remove_tag(RunSkb& skb, u16& tci) {
  if (skb.data != skb.mac_header) return -EINVAL;
  if (skb.len < kVlanHeader) return -ENOMEM;
  u8* start = pointer_to<u8>(skb.data);
  if (skb.csum_complete) skb.csum = csum_add(skb.csum, ~load<u32>(start + kAddresses));
  tci = __builtin_bswap16(load<u16>(start + kEthernetHeader));
  u16 inner = load<u16>(start + kEthernetHeader + 2);
  bool raw = skb.len >= kVlanHeader + 2 && load<u16>(start + kVlanHeader) == 0xffff;
  skb.protocol = __builtin_bswap16(inner) >= kFirstProtocol ? inner : raw ? kRaw8023 : kLlc;
  __builtin_memmove(start + kVlanTag, start, kAddresses);
  pull(skb, kVlanTag);
  skb.mac_header += kVlanTag;
  if (skb.network_header < skb.data + kEthernetHeader) skb.network_header = skb.data + kEthernetHeader;
  return 0;
}

}  // namespace

HELPER(help_skb_vlan_push) {
  RunSkb& skb = skb_at(r1);
  u16 protocol = is_vlan(static_cast<u16>(r2)) ? static_cast<u16>(r2) : kVlan8021q;
  if (skb.vlan_present) {
    if (skb.data != skb.mac_header) return result(-EINVAL);
    if (s64 error = insert_tag(skb)) return result(error);
  }
  set_tag(skb, protocol, static_cast<u16>(r3));
  return 0;
}

HELPER(help_skb_vlan_pop) {
  RunSkb& skb = skb_at(r1);
  u16 tci = 0;
  if (skb.vlan_present) {
    skb.vlan_present = 0;
  } else {
    if (!is_vlan(skb.protocol)) return 0;
    if (s64 error = remove_tag(skb, tci)) return result(error);
  }
  // The next tag takes its place.
  if (!is_vlan(skb.protocol)) return 0;
  u16 protocol = static_cast<u16>(skb.protocol);
  if (s64 error = remove_tag(skb, tci)) return result(error);
  set_tag(skb, protocol, tci);
  return 0;
}

HELPER(help_skb_change_type) {
  constexpr u32 kLastType = 3;  // PACKET_OTHERHOST: the later ones are the kernel's own
  RunSkb& skb = skb_at(r1);
  if (skb.pkt_type > kLastType || low32(r2) > kLastType) return result(-EINVAL);
  skb.pkt_type = low32(r2);
  return 0;
}

// Kernel: bpf_skb_set_tstamp, of protocols whose packets keep a time of delivery.
HELPER(help_skb_set_tstamp) {
  RunSkb& skb = skb_at(r1);
  if (skb.protocol != kProtocolIpv4 && skb.protocol != kProtocolIpv6) return result(-EOPNOTSUPP);
  const u32 type = low32(r3);
  if (type > BPF_SKB_TSTAMP_DELIVERY_MONO || (type == BPF_SKB_TSTAMP_DELIVERY_MONO) != (r2 != 0)) return result(-EINVAL);
  skb.tstamp = r2;
  skb.tstamp_type = type;
  return 0;
}

// (ctx, u32 index, struct bpf_xfrm_state *, u32 size, u64 flags): no packet has come through IPsec.
HELPER(help_skb_get_xfrm_state) {
  __builtin_memset(pointer_to(r3), 0, low32(r4));
  return result(-EINVAL);
}

// A packet that was not routed has no realm.
HELPER(help_get_route_realm) {
  return 0;
}

// No task or packet is in a class: nothing sets net_cls.classid. Also bpf_skb_cgroup_classid.
HELPER(help_get_cgroup_classid) {
  return 0;
}

}  // namespace bpfemu

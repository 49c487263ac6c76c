// SPDX-License-Identifier: Apache-2.0
// What changes a packet's headers, or tells what belongs to it (struct sk_buff). Runtime code.
#include <linux/bpf.h>

#include <initializer_list>

#include "emu/base/bytes.h"
#include "emu/bpf/contexts.h"
#include "emu/bpf/helpers/call.h"
#include "emu/bpf/helpers/checksum.h"

namespace bpfemu {

namespace {

constexpr u64 kAddresses = 12, kEthernetHeader = 14, kVlanTag = 4, kVlanHeader = kEthernetHeader + kVlanTag;
constexpr u32 kMaxPacket = 16064;  // SKB_MAX_ALLOC
constexpr u16 kVlan8021q = __builtin_bswap16(0x8100), kVlan8021ad = __builtin_bswap16(0x88a8);
constexpr u16 kRaw8023 = __builtin_bswap16(0x0001), kLlc = __builtin_bswap16(0x0004);
constexpr u16 kFirstProtocol = 0x0600;

RunSkb& skb_at(u64 context) {
  return *pointer_to<RunSkb>(context);
}

bool is_vlan(u32 protocol) {
  return protocol == kVlan8021q || protocol == kVlan8021ad;
}

// Room for `size` bytes in front of the packet, if need be by moving it (kernel: skb_cow_head).
bool make_headroom(RunSkb& skb, u64 size) {
  if (skb.data - skb.head >= size) return true;
  constexpr u64 kStep = 64;
  u64 shift = round_up(size - (skb.data - skb.head), kStep);
  if (skb.end - skb.data_end < shift) return false;
  __builtin_memmove(pointer_to(skb.data + shift), pointer_to(skb.data), skb.data_end - skb.data);
  for (u64* at : {&skb.data, &skb.data_meta, &skb.data_end, &skb.network_header, &skb.mac_header}) *at += shift;
  return true;
}

void push(RunSkb& skb, u32 size) {
  skb.data -= size;
  skb.data_meta -= size;
  skb.len += size;
}

void pull(RunSkb& skb, u32 size) {
  skb.data += size;
  skb.data_meta += size;
  skb.len -= size;
}

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

// The five values that tell a flow: protocol, addresses and ports (kernel: flow_keys).
u64 flow_hash(const RunSkb& skb) {
  constexpr u16 kIpv4 = __builtin_bswap16(0x0800), kIpv6 = __builtin_bswap16(0x86dd);
  constexpr u8 kTcp = 6, kUdp = 17;
  u64 hash = 0xcbf29ce484222325;
  auto mix = [&hash](u64 from, u64 to) {
    for (; from < to; ++from) hash = (hash ^ *pointer_to<u8>(from)) * 0x100000001b3;
  };
  u64 header = skb.network_header, payload = 0;
  u8 protocol = 0;
  if (skb.protocol == kIpv4 && header + 20 <= skb.data_end) {
    payload = header + u64{*pointer_to<u8>(header)} % 16 * 4;
    protocol = *pointer_to<u8>(header + 9);
    mix(header + 12, header + 20);
  } else if (skb.protocol == kIpv6 && header + 40 <= skb.data_end) {
    payload = header + 40;
    protocol = *pointer_to<u8>(header + 6);
    mix(header + 8, header + 40);
  }
  hash = (hash ^ protocol ^ u64{skb.protocol} << 8) * 0x100000001b3;
  if ((protocol == kTcp || protocol == kUdp) && payload + 4 <= skb.data_end) mix(payload, payload + 4);
  return hash;
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

HELPER(help_skb_change_head) {
  RunSkb& skb = skb_at(r1);
  u32 size = low32(r2), length = skb.len + size;
  if (r3 || length > kMaxPacket || length < skb.len) return result(-EINVAL);
  if (!make_headroom(skb, size)) return result(-ENOMEM);
  push(skb, size);
  __builtin_memset(pointer_to(skb.data), 0, size);
  skb.mac_header = skb.data;
  return 0;
}

// A number that is the same for all packets of a flow; never 0.
HELPER(help_get_hash_recalc) {
  RunSkb& skb = skb_at(r1);
  if (!skb.hash) {
    u64 hash = flow_hash(skb);
    skb.hash = low32(hash ^ hash >> 32);
    if (!skb.hash) skb.hash = 1;
  }
  return skb.hash;
}

HELPER(help_skb_change_type) {
  constexpr u32 kLastType = 3;  // PACKET_OTHERHOST: the later ones are the kernel's own
  RunSkb& skb = skb_at(r1);
  if (skb.pkt_type > kLastType || low32(r2) > kLastType) return result(-EINVAL);
  skb.pkt_type = low32(r2);
  return 0;
}

// A packet that was not routed has no realm.
HELPER(help_get_route_realm) {
  return 0;
}

// Only says what the program is to return; the packet would go when it has returned.
HELPER(help_redirect) {
  constexpr u64 kShot = 2, kRedirect = 7;  // TC_ACT_SHOT, TC_ACT_REDIRECT
  if (run->program->type == BPF_PROG_TYPE_XDP) return r2 ? XDP_ABORTED : XDP_REDIRECT;
  return r2 & ~u64{BPF_F_INGRESS} ? kShot : kRedirect;
}

// No task or packet is in a class: nothing sets net_cls.classid.
HELPER(help_get_cgroup_classid) {
  return 0;
}

}  // namespace bpfemu

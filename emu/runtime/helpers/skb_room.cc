// SPDX-License-Identifier: Apache-2.0
// What makes a packet longer or shorter: at its start, at its end, between its headers.
#include "emu/runtime/helpers/skb_room.h"

#include <initializer_list>

#include "emu/base/bytes.h"
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/helpers/checksum.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

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

namespace {

constexpr u32 kMaxPacket = 16064;  // SKB_MAX_ALLOC
constexpr u32 kMaxRoom = 0xfff;

constexpr u64 kL3Flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;
constexpr u64 kL4Flags = BPF_F_ADJ_ROOM_ENCAP_L4_GRE | BPF_F_ADJ_ROOM_ENCAP_L4_UDP;
constexpr u64 kShrinkFlags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
constexpr u64 kGrowFlags = kShrinkFlags | kL3Flags | kL4Flags | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
                           u64{BPF_ADJ_ROOM_ENCAP_L2_MASK} << BPF_ADJ_ROOM_ENCAP_L2_SHIFT;

// Of the network header, without options; 0: another protocol.
u32 header_size(const RunSkb& skb) {
  return skb.protocol == kProtocolIpv4 ? 20 : skb.protocol == kProtocolIpv6 ? 40 : 0;
}

// Zeros after the first `offset` bytes (kernel: bpf_skb_net_hdr_push).
void insert(RunSkb& skb, u32 offset, u32 size) {
  push(skb, size);
  u8* start = pointer_to<u8>(skb.data);
  __builtin_memmove(start, start + size, offset);
  __builtin_memset(start + offset, 0, size);
  skb.mac_header -= size;
  skb.network_header -= size;
}

// Kernel: bpf_skb_net_hdr_pop. Zero, -ENOMEM: there is not so much.
s64 remove(RunSkb& skb, u32 offset, u32 size) {
  if (offset + size > skb.len) return -ENOMEM;
  u8* start = pointer_to<u8>(skb.data);
  if (skb.csum_complete) skb.csum = csum_sub(skb.csum, csum_of(start + offset, size));
  pull(skb, size);
  __builtin_memmove(start + size, start, offset);
  skb.mac_header += size;
  skb.network_header += size;
  return 0;
}

// May what is inserted be the headers of a tunnel?
s64 check_tunnel(const RunSkb& skb, u32 size, u64 flags) {
  u64 inner_l2 = flags >> BPF_ADJ_ROOM_ENCAP_L2_SHIFT;
  if ((flags & kL3Flags) == kL3Flags || (flags & kL4Flags) == kL4Flags) return -EINVAL;
  if (flags & BPF_F_ADJ_ROOM_ENCAP_L2_ETH && inner_l2 < kEthernetHeader) return -EINVAL;
  if (skb.encapsulation) return -EALREADY;
  return inner_l2 > size ? -EINVAL : 0;
}

// Kernel: bpf_skb_net_grow.
s64 grow(RunSkb& skb, u32 offset, u32 size, u64 flags) {
  if (skb.gso_size) return -ENOTSUPP;
  if (!make_headroom(skb, size)) return -ENOMEM;
  if (flags & kL3Flags) {
    if (s64 error = check_tunnel(skb, size, flags)) return error;
  }
  u64 link_header = skb.network_header - skb.mac_header;
  insert(skb, offset, size);
  if (flags & kL3Flags) {
    skb.encapsulation = 1;
    skb.network_header = skb.data + link_header;
    skb.protocol = flags & BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 ? kProtocolIpv6 : kProtocolIpv4;
  }
  return 0;
}

// Kernel: bpf_skb_net_shrink.
s64 shrink(RunSkb& skb, u32 offset, u32 size, u64 flags) {
  if (flags & ~kShrinkFlags) return -EINVAL;
  if (skb.gso_size) return -ENOTSUPP;
  return remove(skb, offset, size);
}

}  // namespace

HELPER(help_skb_adjust_room) {
  RunSkb& skb = skb_at(r1);
  bool shrinks = low32(r2) >> 31;
  u32 size = shrinks ? 0 - low32(r2) : low32(r2), mode = low32(r3), header = header_size(skb);
  if (r4 & ~kGrowFlags) return result(-EINVAL);
  if (size > kMaxRoom) return result(-EFAULT);
  if (!header || mode > BPF_ADJ_ROOM_MAC) return result(-ENOTSUPP);
  u32 offset = low32(skb.network_header - skb.mac_header) + (mode == BPF_ADJ_ROOM_NET ? header : 0);
  u32 length = low32(skb.data_end - skb.network_header);
  if (shrinks ? size >= length || length - size < header : skb.len + size > kMaxPacket && !skb.gso_size) {
    return result(-ENOTSUPP);
  }
  const s64 error = shrinks ? shrink(skb, offset, size, r4) : grow(skb, offset, size, r4);
  if (!error && !(r4 & BPF_F_ADJ_ROOM_NO_CSUM_RESET)) forget_verified_csum(skb);
  return result(error);
}

// Between IPv4 and IPv6: room for the other header, which the program fills in (kernel: bpf_skb_change_proto).
HELPER(help_skb_change_proto) {
  constexpr u32 kDifference = 40 - 20;
  RunSkb& skb = skb_at(r1);
  const u16 to = static_cast<u16>(r2);
  const u32 link_header = low32(skb.network_header - skb.mac_header);
  if (r3) return result(-EINVAL);
  if (skb.protocol == kProtocolIpv4 && to == kProtocolIpv6) {
    if (!make_headroom(skb, kDifference)) return result(-ENOMEM);
    insert(skb, link_header, kDifference);
  } else if (skb.protocol == kProtocolIpv6 && to == kProtocolIpv4) {
    if (s64 error = remove(skb, link_header, kDifference)) return result(error);
  } else {
    return result(-ENOTSUPP);
  }
  skb.protocol = to;
  forget_hash(skb);
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

HELPER(help_skb_change_tail) {
  RunSkb& skb = skb_at(r1);
  u32 length = low32(r2);
  u64 least = skb.network_header > skb.data ? skb.network_header - skb.data : 0;
  if (r3 || length > kMaxPacket || length < least) return result(-EINVAL);
  if (skb.encapsulation) return result(-ENOTSUPP);
  if (skb.end - skb.data < length) return result(-ENOMEM);
  if (length > skb.len) __builtin_memset(pointer_to(skb.data_end), 0, length - skb.len);
  if (length != skb.len) skb.csum_complete = 0;
  skb.len = length;
  skb.data_end = skb.data + length;
  if (skb.gso_size) skb.gso_size = skb.gso_segs = 0;
  return 0;
}

}  // namespace bpfemu

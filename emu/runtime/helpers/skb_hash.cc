// SPDX-License-Identifier: Apache-2.0
// The hash of a packet's flow (kernel: skb_get_hash). Runtime code.
#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

// The five values that tell a flow: protocol, addresses and ports (kernel: flow_keys).
u64 flow_hash(const RunSkb& skb) {
  constexpr u8 kTcp = 6, kUdp = 17;
  u64 hash = 0xcbf29ce484222325;
  auto mix = [&hash](u64 from, u64 to) {
    for (; from < to; ++from) hash = (hash ^ *pointer_to<u8>(from)) * 0x100000001b3;
  };
  u64 header = skb.network_header, payload = 0;
  u8 protocol = 0;
  if (skb.protocol == kProtocolIpv4 && header + 20 <= skb.data_end) {
    payload = header + u64{*pointer_to<u8>(header)} % 16 * 4;
    protocol = *pointer_to<u8>(header + 9);
    mix(header + 12, header + 20);
  } else if (skb.protocol == kProtocolIpv6 && header + 40 <= skb.data_end) {
    payload = header + 40;
    protocol = *pointer_to<u8>(header + 6);
    mix(header + 8, header + 40);
  }
  hash = (hash ^ protocol ^ u64{skb.protocol} << 8) * 0x100000001b3;
  if ((protocol == kTcp || protocol == kUdp) && payload + 4 <= skb.data_end) mix(payload, payload + 4);
  return hash;
}

}  // namespace

// A number that is the same for all packets of a flow, unless a program has set another; never 0 otherwise.
HELPER(help_get_hash_recalc) {
  RunSkb& skb = skb_at(r1);
  if (!skb.hash_known) {
    u64 hash = flow_hash(skb);
    skb.hash = low32(hash ^ hash >> 32);
    if (!skb.hash) skb.hash = 1;
    skb.hash_known = 1;
  }
  return skb.hash;
}

HELPER(help_set_hash_invalid) {
  forget_hash(skb_at(r1));
  return 0;
}

HELPER(help_set_hash) {
  RunSkb& skb = skb_at(r1);
  skb.hash = low32(r2);
  skb.hash_known = 1;
  return 0;
}

}  // namespace bpfemu

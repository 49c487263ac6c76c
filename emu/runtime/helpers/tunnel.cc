// SPDX-License-Identifier: Apache-2.0
// Tunnel metadata of packets. What a program sets is for the device that the packet leaves by, and no packet leaves
// here; of the device that it came by it has none. Read back, both ends have changed places, as the kernel's have.
// Runtime code.
#include <linux/bpf.h>

#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

constexpr u64 kSetFlags = u64{BPF_F_TUNINFO_IPV6} | BPF_F_ZERO_CSUM_TX | BPF_F_DONT_FRAGMENT | BPF_F_SEQ_NUMBER;
// kernel: TUNNEL_CSUM and its like, in network byte order
constexpr u16 kCsum = 0x0100, kKey = 0x0400, kSequence = 0x0800, kDontFragment = 0x0001, kNoCache = 0x0020;
constexpr u16 kOptions = 0x00d8;  // TUNNEL_OPTIONS_PRESENT
constexpr u32 kFlowLabel = 0xfffff;
constexpr size_t kOldest = offsetof(bpf_tunnel_key, remote_ipv6) + sizeof(bpf_tunnel_key::remote_ipv6[0]);

// Sizes that the struct had in older kernels, and its own (kernel: bpf_skb_set_tunnel_key).
bool known_size(u32 size) {
  return size == sizeof(bpf_tunnel_key) || size == offsetof(bpf_tunnel_key, local_ipv6) ||
         size == offsetof(bpf_tunnel_key, tunnel_label) || size == offsetof(bpf_tunnel_key, tunnel_ext) ||
         size == kOldest;
}

u64 refuse(u64 to, u32 size, s64 error) {
  __builtin_memset(pointer_to(to), 0, size);
  return result(error);
}

}  // namespace

HELPER(help_skb_set_tunnel_key) {
  const u32 size = low32(r3);
  if ((r4 & ~kSetFlags) || !known_size(size)) return result(-EINVAL);
  bpf_tunnel_key key{};
  __builtin_memcpy(&key, pointer_to(r2), size);
  const bool ipv6 = r4 & BPF_F_TUNINFO_IPV6;
  if ((!ipv6 && key.tunnel_label) || key.tunnel_ext) return result(-EINVAL);
  RunTunnel& tunnel = skb_at(r1).tunnel;
  tunnel = {};
  tunnel.set = true;
  tunnel.ipv6 = ipv6;
  tunnel.id = key.tunnel_id;
  tunnel.tos = key.tunnel_tos;
  tunnel.ttl = key.tunnel_ttl;
  tunnel.flags = kKey | kNoCache | (r4 & BPF_F_ZERO_CSUM_TX ? 0 : kCsum) |
                 (r4 & BPF_F_DONT_FRAGMENT ? kDontFragment : 0) | (r4 & BPF_F_SEQ_NUMBER ? kSequence : 0);
  const size_t address = ipv6 ? sizeof tunnel.remote : sizeof tunnel.remote[0];
  __builtin_memcpy(tunnel.remote, key.remote_ipv6, address);
  __builtin_memcpy(tunnel.local, key.local_ipv6, address);
  tunnel.label = key.tunnel_label & kFlowLabel;
  return 0;
}

HELPER(help_skb_get_tunnel_key) {
  const u32 size = low32(r3);
  const RunTunnel& tunnel = skb_at(r1).tunnel;
  const bool ipv6 = r4 & BPF_F_TUNINFO_IPV6;
  if (!tunnel.set || (r4 & ~(u64{BPF_F_TUNINFO_IPV6} | BPF_F_TUNINFO_FLAGS))) return refuse(r2, size, -EINVAL);
  if (tunnel.ipv6 != ipv6) return refuse(r2, size, -EPROTO);
  if (!known_size(size) || (size == kOldest && ipv6)) return refuse(r2, size, -EINVAL);
  bpf_tunnel_key key{};
  key.tunnel_id = tunnel.id;
  key.tunnel_tos = tunnel.tos;
  key.tunnel_ttl = tunnel.ttl;
  if (r4 & BPF_F_TUNINFO_FLAGS) key.tunnel_flags = tunnel.flags;
  __builtin_memcpy(key.remote_ipv6, tunnel.local, sizeof key.remote_ipv6);
  __builtin_memcpy(key.local_ipv6, tunnel.remote, sizeof key.local_ipv6);
  key.tunnel_label = tunnel.label;
  __builtin_memcpy(pointer_to(r2), &key, size);
  return 0;
}

// (ctx, const u8 *, u32 size): options follow a key that a program has set.
HELPER(help_skb_set_tunnel_opt) {
  const u32 size = low32(r3);
  RunTunnel& tunnel = skb_at(r1).tunnel;
  if (!tunnel.set || size % sizeof(u32)) return result(-EINVAL);
  if (size > sizeof tunnel.options) return result(-ENOMEM);
  __builtin_memcpy(tunnel.options, pointer_to(r2), size);
  tunnel.options_size = static_cast<u8>(size);
  tunnel.flags |= kOptions;
  return 0;
}

HELPER(help_skb_get_tunnel_opt) {
  const u32 size = low32(r3);
  const RunTunnel& tunnel = skb_at(r1).tunnel;
  if (!tunnel.options_size) return refuse(r2, size, -ENOENT);
  if (size < tunnel.options_size) return refuse(r2, size, -ENOMEM);
  __builtin_memset(pointer_to(r2), 0, size);
  __builtin_memcpy(pointer_to(r2), tunnel.options, tunnel.options_size);
  return tunnel.options_size;
}

}  // namespace bpfemu

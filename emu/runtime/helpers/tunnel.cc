// SPDX-License-Identifier: Apache-2.0
// Tunnel metadata of packets. What a program sets is for the device that the packet leaves by, and no packet leaves
// here; what it reads is of the device that the packet came by, which is none. Runtime code.
#include <linux/bpf.h>

#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

constexpr u64 kSetFlags = u64{BPF_F_TUNINFO_IPV6} | BPF_F_ZERO_CSUM_TX | BPF_F_DONT_FRAGMENT | BPF_F_SEQ_NUMBER;

// Sizes that the struct had in older kernels, and its own (kernel: bpf_skb_set_tunnel_key).
bool known_size(u32 size) {
  return size == sizeof(bpf_tunnel_key) || size == offsetof(bpf_tunnel_key, local_ipv6) ||
         size == offsetof(bpf_tunnel_key, tunnel_label) || size == offsetof(bpf_tunnel_key, tunnel_ext) ||
         size == offsetof(bpf_tunnel_key, remote_ipv6) + sizeof(bpf_tunnel_key::remote_ipv6[0]);
}

}  // namespace

HELPER(help_skb_set_tunnel_key) {
  const u32 size = low32(r3);
  if ((r4 & ~kSetFlags) || !known_size(size)) return result(-EINVAL);
  bpf_tunnel_key key{};
  __builtin_memcpy(&key, pointer_to(r2), size);
  const bool labelled = !(r4 & BPF_F_TUNINFO_IPV6) && key.tunnel_label;
  return result(labelled || key.tunnel_ext ? -EINVAL : 0);
}

// Kernel: bpf_skb_get_tunnel_key, whose packet has no metadata, or what a program has set.
HELPER(help_skb_get_tunnel_key) {
  __builtin_memset(pointer_to(r2), 0, low32(r3));
  return result(-EINVAL);
}

}  // namespace bpfemu

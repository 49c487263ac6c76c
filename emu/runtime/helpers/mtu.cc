// SPDX-License-Identifier: Apache-2.0
// Does a packet fit through a device? The loopback device is the one that there is. Runtime code.
#include <linux/bpf.h>

#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

constexpr u32 kLoopback = 1, kLoopbackMtu = 65536;

// 0: there is no such device.
u32 mtu_of(Run* run, u32 ifindex) {
  if (ifindex == kLoopback) return kLoopbackMtu;
  missing(run, "other devices than lo for bpf_check_mtu");
  return 0;
}

// The packet's length, or, as a size behind the link layer's header, what the program asks about.
s32 asked_length(u32 asked, u32 length, u64 difference) {
  return static_cast<s32>((asked ? asked + kEthernetHeader : length) + low32(difference));
}

}  // namespace

// (ctx, u32 ifindex, u32 *mtu_len, s32 len_diff, u64 flags); kernel: bpf_skb_check_mtu, bpf_xdp_check_mtu.
HELPER(help_check_mtu) {
  const bool xdp = run->program->type == BPF_PROG_TYPE_XDP;
  u32& length = *pointer_to<u32>(r3);
  const u32 asked = length;
  const bool segments = r5 == BPF_MTU_CHK_SEGS;
  length = 0;
  if (xdp ? r5 != 0 : (r5 & ~u64{BPF_MTU_CHK_SEGS}) || (segments && (low32(r4) || asked))) return result(-EINVAL);
  const RunXdp& frame = *pointer_to<RunXdp>(r1);
  const u32 own = xdp ? frame.ingress_ifindex : skb_at(r1).ifindex;
  const u32 mtu = mtu_of(run, low32(r2) ? low32(r2) : own ? own : kLoopback);
  if (!mtu) return result(-ENODEV);
  const u32 packet = xdp ? low32(frame.data_end - frame.data) : skb_at(r1).len;
  length = mtu;
  if (asked_length(asked, packet, r4) <= static_cast<s32>(mtu + kEthernetHeader)) return BPF_MTU_CHK_RET_SUCCESS;
  if (xdp || !skb_at(r1).gso_size) return BPF_MTU_CHK_RET_FRAG_NEEDED;
  if (!segments) return BPF_MTU_CHK_RET_SUCCESS;
  length = asked;  // where the transport header begins is not known
  return result(-EINVAL);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// LD_ABS and LD_IND, the packet loads that eBPF inherited from classic BPF. Runtime code.
#pragma once

#include "emu/runtime/run.h"

namespace bpfemu {

// `size` bytes (1, 2, 4) at `offset` of the packet of `skb`, in host byte order; negative: beyond it, and the program
// ends with 0. Offsets from SKF_NET_OFF and SKF_LL_OFF on count from the network and the link-layer header (kernel:
// bpf_skb_load_helper_8 and its siblings). Has the signature of a helper.
u64 packet_load(u64 skb, u64 offset, u64 size, u64, u64, Run* run);

}  // namespace bpfemu

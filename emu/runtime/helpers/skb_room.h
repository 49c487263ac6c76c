// SPDX-License-Identifier: Apache-2.0
// The room before a packet (struct sk_buff), and its headers, which move with its start. Runtime code.
#pragma once

#include "emu/runtime/contexts.h"

namespace bpfemu {

// Room for `size` bytes in front of the packet, if need be by moving it; false: no memory (kernel: skb_cow_head).
bool make_headroom(RunSkb& skb, u64 size);
// The packet begins earlier, or later (kernel: __skb_push, __skb_pull).
void push(RunSkb& skb, u32 size);
void pull(RunSkb& skb, u32 size);

}  // namespace bpfemu

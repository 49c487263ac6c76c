// SPDX-License-Identifier: Apache-2.0
// struct sk_buff and xdp_buff of what a network program runs on, for those that are called around its functions.
#pragma once

#include "emu/kernel/object_space.h"
#include "emu/kernel/sock_object.h"
#include "emu/runtime/run.h"

namespace bpfemu {

// The struct sk_buff that the packet is, brought up to date; its socket is shown by whoever calls.
u64 shown_packet(ObjectSpace& space, const RunSkb& skb);

// What the claimed kernel's function would have in the place of the running program's context: that itself where the
// layout is the same. Valid until the next call for the same context.
u64 shown_context(ObjectSpace& space, SockObjects& socks, const Run& run);

// The RunSkb or RunXdp that is shown as this struct, 0: none.
u64 context_shown_as(const Arena& arena, ObjectSpace& space, u64 object);

}  // namespace bpfemu

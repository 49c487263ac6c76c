// SPDX-License-Identifier: Apache-2.0
// struct sk_buff and xdp_buff of what a network program runs on, for those that are called around its functions.
#pragma once

#include "emu/kernel/object_space.h"
#include "emu/runtime/run.h"

namespace bpfemu {

// What the claimed kernel's function would have in the place of the running program's context: that itself where the
// layout is the same. Valid until the next call for the same context.
u64 shown_context(ObjectSpace& space, const Run& run);

// Where the bytes of a struct sk_buff, or xdp_buff, are that such a context was shown as. False: of another, and beyond the
// linear part.
bool packet_bytes(const Arena& arena, ObjectSpace& space, u64 object, bool xdp, PacketBytes& to);

}  // namespace bpfemu

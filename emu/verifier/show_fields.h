// SPDX-License-Identifier: Apache-2.0
// Where the claimed kernel keeps what programs see as fields of their contexts and of sockets, for dumps.
#pragma once

#include <linux/types.h>

#include "emu/verifier/types.h"

namespace bpfemu {

// One load: from `path` in `object`, and further by `inner_path` in `inner`, which the kernel keeps there untyped. Without
// a path: from where the object begins.
struct Hop {
  const char *object, *path;
  u8 size;  // 0: as the program's access
  const char *inner = nullptr, *inner_path = nullptr;
};

enum class Then : u8 {
  kNothing, kPacketType, kLowBit, kUpperHalf, kNapi, kQueue, kRxQueue, kShared, kIfDevice, kIfThere, kFullSocket, kLinearEnd, kZero
};

struct KernelField {
  u32 first, end;     // of the context
  u8 kept;            // bytes that the kernel keeps it in, of which narrow loads mask a part; 0: they do not exist
  Hop hops[3];
  Then then = Then::kNothing;
  bool indexed = false;  // what lies further inside the field is loaded from further inside
};

// The field at `offset` of what a pointer of that type leads to, in a program of this one. nullptr: it is no other there.
const KernelField* kernel_field(RegType pointer, u32 prog_type, int offset);

// Where in its context's object a program of that type has room for a register; nullptr: nowhere.
const Hop* register_room(u32 prog_type);

}  // namespace bpfemu

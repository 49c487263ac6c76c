// SPDX-License-Identifier: Apache-2.0
// bpf_get_current_comm, wherever the name comes from. Runtime code.
#pragma once

#include "emu/base/bytes.h"

namespace bpfemu {

// The word that holds the NUL is zeroed to its end, and no more (kernel: strscpy).
inline void give_comm(char* to, u32 size, const char (&comm)[16]) {
  u32 length = 0;
  while (length + 1 < size && length + 1 < sizeof comm && comm[length]) ++length;
  __builtin_memcpy(to, comm, length);
  const u64 end = round_up(u64{length} + 1, 8);
  __builtin_memset(to + length, 0, (end < size ? end : size) - length);
}

}  // namespace bpfemu

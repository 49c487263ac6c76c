// SPDX-License-Identifier: Apache-2.0
// Is there memory for what a tool asks for? A size that comes from a tool is asked about before anything of that size is
// made: where the address space is limited, the call fails with ENOMEM, and nobody else notices.
#pragma once

#include <sys/mman.h>

#include "emu/base/result.h"

namespace bpfemu {

// What smaller requests need goes on being there.
inline constexpr u64 kSlack = u64{8} << 20;
inline constexpr u64 kSmall = u64{64} << 10;

inline bool has_room(u64 bytes) {
  if (bytes > ~u64{0} - kSlack) return false;
  void* const area = ::mmap(nullptr, bytes + kSlack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) return false;
  ::munmap(area, bytes + kSlack);
  return true;
}

inline Result<void> room_for(u64 bytes) {
  return bytes <= kSmall || has_room(bytes) ? Result<void>{} : fail(ENOMEM);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Where in a process the code is that decides calls there. The same for all processes, since their seccomp filter knows
// it: a call that a stub makes is the kernel's. Below the arena, where sanitizers leave room as well.
#pragma once

#include "emu/arena/layout.h"
#include "emu/base/types.h"
#include "emu/runtime/inside/inside.h"
#include "emu/syscalls/path_table.h"
#include "loader/call_site.h"
#include "loader/short_stub.h"

namespace bpfemu {

inline constexpr u64 kStubArea = INSIDE_STUBS;
inline constexpr u64 kStubSize = 256, kMostStubs = 256;
// What a stub is for stands at its end, for memory whose parent nobody knows.
struct StubLabel {
  u64 site;
  JumpBytes start;
};
inline constexpr u64 kStubCode = kStubSize - sizeof(StubLabel);
// Behind them those of sites that make all calls, whose labels also stand at their ends.
struct ShortLabel {
  u64 call, filling;
};
inline constexpr u64 kShortStubArea = kStubArea + kStubSize * kMostStubs;
inline constexpr u64 kMostShortStubs = 16;
inline constexpr u64 kStubAreaSize = kShortStubArea + kMostShortStubs * kShortStubSize - kStubArea;
inline constexpr u64 kTableAddress = kStubArea + (u64{1} << 24);  // PathTable, read-only
static_assert(kStubAreaSize <= kInsideImage - kStubArea && kInsideEnd <= kTableAddress);
static_assert(kTableAddress + PathTable::kSize < kArenaBase);

inline bool in_stub_area(u64 rip) {
  return rip - kStubArea < kStubAreaSize;
}

}  // namespace bpfemu

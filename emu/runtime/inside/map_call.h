// SPDX-License-Identifier: Apache-2.0
// A map command of bpf(), as a process has made it. Runtime code.
#pragma once

#include "emu/runtime/inside/inside.h"
#include "emu/runtime/inside/map_index.h"

namespace bpfemu {

// The begin of bpf_attr as map commands have it; `out` is the value, or the next key.
struct MapCall {
  u32 fd;
  u64 key, out, flags;
};

// The map of a descriptor, by what the index knows of it; null: it is for the supervisor. What is found counts for as long as
// MapIndex::gone stays, or the thread has a seat.
const MapIndex::Place* place_of(const InsideState& state, u32 fd);

// False: values lie in other pages than when the process last looked.
inline bool sees_values(const InsideState& state) {
  return __atomic_load_n(state.maps->shares, __ATOMIC_ACQUIRE) == state.shares;
}

// Commands that only read, and those that change an element. True: the call's result is in `result`. The latter may
// have told of the call (InsideSlot::told).
bool read_map(const InsideState& state, const MapCall& call, u32 command, s64& result);
bool change_map(InsideSlot& slot, const InsideState& state, const MapCall& call, u32 command, s64& result);

}  // namespace bpfemu

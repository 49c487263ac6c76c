// SPDX-License-Identifier: Apache-2.0
// The layout of arrays: values follow the head, in one plane (ARRAY), or one plane per CPU (PERCPU_ARRAY); where
// processes may write to them, on pages of their own. Runtime code.
#pragma once

#include "emu/runtime/maps/value.h"

namespace bpfemu {

struct ArrayMap : Map {
  u64 values;  // offset of the first value from the head
  u64 plane;   // bytes of one CPU's values
  u32 stride;  // from one value to the next

  u8* value(u32 index) { return reinterpret_cast<u8*>(this) + values + u64{index} * stride; }
};

// `element` bytes a value, `planes` times.
s64 array_alloc_check(const MapAttr& attr);
u64 array_footprint(const MapAttr& attr, u64 element, u64 planes);
u64 array_committed(const MapAttr& attr, u64 element, u64 planes);
void array_init(Map& map, u64 element);
bool array_at_place(Map& map, MapPlace& place);
bool array_next_place(Map& map, MapPlace& place);
s64 array_get_next_key(Map& map, const void* key, void* next);

}  // namespace bpfemu

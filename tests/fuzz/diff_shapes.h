// SPDX-License-Identifier: Apache-2.0
// What maps of each type look like: sizes that are likely to work, keys and values that are likely to be found again.
#pragma once

#include "tests/fuzz/diff_state.h"

namespace bpfemu::fuzz {

// Everything but the descriptor.
HeldMap likely_map(Random& random);
u32 likely_flags(Random& random, u32 type);
// The value's type in value_btf(), 0 for none; its size is then the type's.
u32 likely_value_type(Random& random, HeldMap& map);

bool holds_maps(u32 type);
bool is_per_cpu(u32 type);
// Bytes of a value in an attr's buffer.
u64 user_size(const HeldMap& map);

// For keys of 64 and values of 512 bytes.
void fill_key(Sequence& s, const HeldMap& map, u8* key);
void fill_value(Sequence& s, const HeldMap& map, u8* value);
// Without what differs from one run to the next.
void say_key(Sequence& s, const HeldMap& map, const u8* key);
void say_value(Sequence& s, const HeldMap& map, const u8* value);

}  // namespace bpfemu::fuzz

// SPDX-License-Identifier: Apache-2.0
// Numbers for the kernel's functions behind map helpers and packet loads, which calls carry until they are dumped.
#pragma once

#include "emu/abi/map_calls.h"

namespace bpfemu {

enum class OtherCall : u8 { kHashLookup, kLoadByte, kLoadHalf, kLoadWord, kCount };

// 0: the type has no such function, or the model does not know its name: the helper is called.
s16 map_function_number(u32 map_type, MapCall call);
s16 map_function_number(OtherCall call);

}  // namespace bpfemu

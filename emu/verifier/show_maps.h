// SPDX-License-Identifier: Apache-2.0
// Numbers for the kernel's functions behind map helpers and packet loads, which calls carry until they are dumped.
#pragma once

#include <linux/bpf.h>

#include <optional>

#include "emu/base/types.h"

namespace bpfemu {

enum class MapCall : u8 { kLookup, kUpdate, kDelete, kPush, kPop, kPeek, kRedirect, kForEach, kLookupPercpu, kCount };
enum class OtherCall : u8 { kHashLookup, kLoadByte, kLoadHalf, kLoadWord, kCount };

// Which of a map's functions a helper calls.
std::optional<MapCall> map_call(s32 helper);
// 0: the type has no such function, or the model does not know its name: the helper is called.
s16 map_function_number(u32 map_type, MapCall call);
s16 map_function_number(OtherCall call);

}  // namespace bpfemu

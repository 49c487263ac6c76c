// SPDX-License-Identifier: Apache-2.0
// Program types by their contexts. Apart from what uses libbpf, whose btf.h does not go with the model's.
#pragma once

#include <string_view>

#include "emu/base/types.h"

namespace bpfemu {

// The type of program whose context has this name in C, 0 when it is none's.
u32 type_of_context(std::string_view context);
const char* name_of_type(u32 type);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "emu/bpf/jit/jit.h"

namespace bpfemu {

// For each instruction that is a helper call, the map that R1 must hold there; null where the code before it leaves
// that open. Looks at straight-line code only, which is where compilers put the load.
std::vector<const Map*> known_maps(const JitInput& input);

}  // namespace bpfemu

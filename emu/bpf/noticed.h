// SPDX-License-Identifier: Apache-2.0
// Programs that nobody can tell from none.
#pragma once

#include "emu/bpf/program.h"

namespace bpfemu {

// Could anybody tell whether the program ran? It calls nothing, writes to nothing but its stack, and nobody looks at its
// result. That is how loaders ask whether a kernel can attach in some way, and to some place: where the claimed kernel
// can, the answer is yes, whether or not the model passes the place. (How often it ran is told as never.)
bool is_noticed(const Program& program);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// The paths of system calls (emu/abi/paths.inc), one family a file: path_*.cc.
#pragma once

#include "emu/hook/transit.h"

namespace bpfemu {

#define PATH(path, ...) Path path(Transit& call);
#include "emu/abi/paths.inc"
#undef PATH

}  // namespace bpfemu

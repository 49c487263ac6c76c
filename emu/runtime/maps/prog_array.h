// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_PROG_ARRAY as tail calls see it: slots hold addresses of ProgramText. Runtime code.
#pragma once

#include "emu/runtime/maps/object_array.h"

namespace bpfemu {

using ProgArray = ObjectArray;

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// What the maps whose values belong to kernel objects have in common. Runtime code.
#pragma once

#include "emu/runtime/maps/map.h"

namespace bpfemu {

// Kernel: bpf_local_storage_map_alloc_check.
s64 local_storage_alloc_check(const MapAttr& attr);

}  // namespace bpfemu

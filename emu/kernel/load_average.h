// SPDX-License-Identifier: Apache-2.0
// How busy the machine has been.
#pragma once

#include "emu/kernel/object_space.h"

namespace bpfemu {

// The kernel's `avenrun` at `address`: the three averages of /proc/loadavg in units of 1/2048, as they are when they are
// read (kernel: FIXED_1, get_avenrun).
void show_load_averages(ObjectSpace& space, u64 address);

}  // namespace bpfemu

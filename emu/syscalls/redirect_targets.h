// SPDX-License-Identifier: Apache-2.0
// Elements of maps that packets are redirected by (CPUMAP, DEVMAP, DEVMAP_HASH): a CPU or a device, and perhaps an XDP
// program for the packets that go there.
#pragma once

#include <vector>

#include "emu/syscalls/bpf.h"

namespace bpfemu {

// Does the map have such elements?
bool has_targets(const Map& map);

// The value as the map type takes it: with the id of the program in the place of its descriptor, kNoTargetProgram when it
// is none for such a map. `program` gets it. EINVAL: there is no such device.
Result<std::vector<u8>> target_value(BpfCall& call, MapObject& map, const void* key, const void* value, u64 flags,
                                     std::shared_ptr<Program>& program);

}  // namespace bpfemu

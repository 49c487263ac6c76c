// SPDX-License-Identifier: Apache-2.0
// Text that is written while its threads run.
#pragma once

#include <span>

#include "loader/space_memory.h"

namespace bpfemu {

// The bytes of one instruction, in one cache line. A thread that comes by meanwhile runs into an int3, stops, and
// begins anew. Errors of SpaceMemory::write; then it is as it was.
Result<void> write_text(SpaceMemory& memory, u64 address, std::span<const u8> bytes);

}  // namespace bpfemu

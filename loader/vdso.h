// SPDX-License-Identifier: Apache-2.0
// The kernel version that the ELF note of a new program's vDSO claims (cilium/ebpf reads it there).
#pragma once

#include "loader/task.h"

namespace bpfemu {

// Patches LINUX_VERSION_CODE in the note of a thread that stands at a stop. The page becomes the program's own copy.
void claim_version(TracedTask& task, u32 code);
// Offset of the version in a vDSO image, 0 when it has no such note.
size_t version_offset(const u8* image);

}  // namespace bpfemu

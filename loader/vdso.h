// SPDX-License-Identifier: Apache-2.0
// The vDSO of a new program: where it is, and the kernel version that its ELF note claims (cilium/ebpf reads it there).
#pragma once

#include "loader/task.h"

namespace bpfemu {

// 0: the program has none.
Result<u64> find_vdso(TracedTask& task);
// Patches LINUX_VERSION_CODE in the note. The page becomes the program's own copy.
void claim_version(TracedTask& task, u32 code);
// Offset of the version in a vDSO image, 0 when it has no such note.
size_t version_offset(const u8* image);

}  // namespace bpfemu

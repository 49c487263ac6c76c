// SPDX-License-Identifier: Apache-2.0
// Reads of addresses that a program made up: none may fault. Kernel memory is the arena and the program's own stack,
// user memory is the traced task's. Results are the kernel's: 0, a length, or -errno. Runtime code.
#pragma once

#include "emu/runtime/run.h"

namespace bpfemu {

// Is the address never one of user space?
bool is_kernel_address(u64 address);

// Kernel: copy_from_kernel_nofault, strncpy_from_kernel_nofault. The buffer's content after an error is undefined.
s64 read_kernel(const Run* run, void* to, u64 address, u64 size);
s64 read_kernel_str(const Run* run, char* to, u64 address, u64 size);
// Kernel: copy_from_user_nofault, strncpy_from_user_nofault.
s64 read_user(const Run* run, void* to, u64 address, u64 size);
s64 copy_user(const Run* run, void* to, u64 address, u64 size);  // may sleep
s64 read_user_str(const Run* run, char* to, u64 address, u64 size);
// Where a helper does not say whose memory it reads. The program's stack may lie where the task has memory as well:
// then the task's is meant.
s64 read_any(const Run* run, void* to, u64 address, u64 size);
s64 read_any_str(const Run* run, char* to, u64 address, u64 size);

}  // namespace bpfemu

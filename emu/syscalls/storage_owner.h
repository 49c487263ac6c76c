// SPDX-License-Identifier: Apache-2.0
// Whose values TASK_STORAGE and INODE_STORAGE maps hold, as bpf() names them: by descriptors.
#pragma once

#include "emu/syscalls/bpf.h"

namespace bpfemu {

bool is_object_storage(const Map& map);
// The arena address of the struct that the descriptor of a process, or of a file, leads to: EBADF, ENOENT for a process
// that is gone (kernel: bpf_pid_task_storage_lookup_elem, bpf_fd_inode_storage_lookup_elem).
Result<u64> storage_owner(BpfCall& call, const Map& map, int fd);
// From now on values go with their objects.
void watch_storage_owners(System& system);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Whose values TASK_STORAGE, INODE_STORAGE and SK_STORAGE maps hold, as bpf() names them: by descriptors.
#pragma once

#include "emu/syscalls/bpf.h"

namespace bpfemu {

bool is_object_storage(const Map& map);
// The arena address of the struct that the descriptor of a process, or of a file, leads to, or a socket's cookie: EBADF,
// ENOTSOCK, ENOENT for a process that is gone (kernel: bpf_pid_task_storage_lookup_elem, bpf_fd_inode_storage_lookup_elem).
Result<u64> storage_owner(BpfCall& call, const Map& map, int fd);
// From now on values go with their objects.
// A connection gets what its listener has in maps with BPF_F_CLONE (kernel: bpf_sk_storage_clone). Cookies.
void clone_socket_storage(System& system, u64 from, u64 to);
void watch_storage_owners(System& system);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Whose values TASK_STORAGE, INODE_STORAGE and SK_STORAGE maps hold, as bpf() names them: by descriptors.
#pragma once

#include "emu/syscalls/bpf.h"

namespace bpfemu {

bool is_object_storage(const Map& map);
// The arena address of the struct that the descriptor of a process, or of a file, leads to, or a socket's cookie: EBADF,
// ENOTSOCK, ENOENT for a process that is gone (kernel: bpf_pid_task_storage_lookup_elem, bpf_fd_inode_storage_lookup_elem).
Result<u64> storage_owner(BpfCall& call, const Map& map, int fd);
// A connection gets what its listener has in maps with BPF_F_CLONE (kernel: bpf_sk_storage_clone). Cookies.
void clone_socket_storage(System& system, u64 from, u64 to);
// From now on values go with their objects; but for sockets, whose last descriptor is closed without a word.
void watch_storage_owners(System& system);
// The values of sockets that are no more, when the map has got many: with twice as many as live the next time.
void drop_closed_owners(System& system, MapObject& map);

}  // namespace bpfemu

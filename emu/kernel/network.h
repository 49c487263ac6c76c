// SPDX-License-Identifier: Apache-2.0
// Network namespaces of the host, each known by the inode of its file in /proc/PID/ns.
#pragma once

#include "emu/base/fd.h"
#include "emu/ports/task.h"

namespace bpfemu {

// That of the supervisor, and that of a thread. 0: it has none any longer.
u32 own_network();
u32 network_of(const Task& task);
// A socket of the supervisor's own in `network`, which is its own or the task's (`task` may be null for its own).
UniqueFd make_socket_in(Task* task, u32 network, int family, int type, int protocol);

}  // namespace bpfemu

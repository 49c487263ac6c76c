// SPDX-License-Identifier: Apache-2.0
// TCP_CONGESTION with congestion controls that programs implement. All others are the host's.
#pragma once

#include <optional>

#include "emu/syscalls/call.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

// Parts of calls that have other handlers as well; none: it is the host's to answer.
std::optional<Reply> set_congestion(System& system, Call& call);
std::optional<Reply> get_congestion(System& system, Call& call);
// What programs set and read of the socket behind a descriptor of the supervisor's own, once it is known to be TCP's
// (kernel: sol_tcp_sockopt_congestion). 0, EINVAL, ENOENT, ENOTSUPP, or what the host refuses with.
s64 set_congestion(System& system, int fd, const void* value, u32 size);
s64 get_congestion(System& system, int fd, void* value, u32 size);
void forget_congestion(System& system, int fd);
void accepted_congestion(System& system, Call& call, s64 connection);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Options of sockets as programs set and read them (kernel: _bpf_setsockopt, _bpf_getsockopt). Results as of the helpers.
#pragma once

#include "emu/kernel/sockets.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

struct OptionName {
  u32 level = 0, name = 0;
};

// Of a descriptor of the supervisor's own.
s64 set_socket_option(System& system, int fd, OptionName option, const void* value, u32 size);
s64 get_socket_option(System& system, int fd, OptionName option, void* value, u32 size);
// Of a socket that is followed. What is set of one that nobody has accepted becomes the real one's when it is.
s64 set_socket_option(System& system, FollowedSocket& socket, OptionName option, const void* value, u32 size);
s64 get_socket_option(System& system, FollowedSocket& socket, OptionName option, void* value, u32 size);
// What programs may do with sockets that they know by their struct sock.
void connect_socket_options(System& system, Outlets& outlets);
// The connection was accepted as `fd` of the task's.
void apply_waiting_options(System& system, Task& task, FollowedSocket& socket, int fd);

}  // namespace bpfemu

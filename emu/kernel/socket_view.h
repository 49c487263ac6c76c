// SPDX-License-Identifier: Apache-2.0
// A socket as programs of the network see it: struct bpf_sock and bpf_tcp_sock.
#pragma once

#include "emu/kernel/socket_facts.h"
#include "emu/runtime/contexts.h"

namespace bpfemu {

// All but RunSock::object, kernel and cgroup. What TCP_INFO does not tell stays as it is.
void show_socket(const SocketFacts& facts, RunSock& sock);

}  // namespace bpfemu

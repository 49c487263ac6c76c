// SPDX-License-Identifier: Apache-2.0
// Programs that sockets get by setsockopt(): filters (SO_ATTACH_BPF) and those that choose among sockets with one address
// (SO_ATTACH_REUSEPORT_EBPF). The socket keeps its program until it is closed. No packet passes them, which is noted.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "emu/bpf/program.h"
#include "emu/kernel/socket_facts.h"
#include "emu/ports/host.h"
#include "emu/syscalls/call.h"

namespace bpfemu {

class SocketFilters {
 public:
  // Programs of closed sockets are let go.
  void drop_closed(Host& host);

 private:
  friend class SocketOption;
  struct Attached {
    SocketFacts socket;  // as it was then
    std::shared_ptr<Program> program;
  };
  using BySocket = std::map<u64, Attached>;  // by cookie

  // The socket's own entry, or that of another in its group.
  static BySocket::iterator of_group(BySocket& programs, const SocketFacts& socket);

  BySocket filters_, choosers_;
};

// A part of setsockopt(); none: it leaves the call as it is.
std::optional<Reply> set_socket_program(System& system, Call& call);

}  // namespace bpfemu

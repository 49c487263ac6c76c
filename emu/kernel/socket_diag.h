// SPDX-License-Identifier: Apache-2.0
// Sockets that nobody here has a descriptor of: the other end of a connection within this machine, one that waits to be
// accepted, one whose last descriptor is closed. The kernel tells everybody of them: sock_diag(7).
#pragma once

#include "emu/base/fd.h"
#include "emu/kernel/socket_facts.h"

namespace bpfemu {

class SocketDiag {
 public:
  // Of the supervisor's own network namespace.
  SocketDiag();
  // Of the one that `netlink`, a NETLINK_SOCK_DIAG socket, is of.
  explicit SocketDiag(UniqueFd netlink) : netlink_(std::move(netlink)) {}

  // The TCP socket with these ends, `local` its own; one in TIME_WAIT is told with that state or with FIN_WAIT2 and
  // without an inode. ENOENT: there is none. EOPNOTSUPP: the host does not tell.
  Result<SocketFacts> connected(u16 family, const SocketEnd& local, const SocketEnd& peer);
  // The one that would accept a connection to `local`.
  Result<SocketFacts> listener(u16 family, const SocketEnd& local);
  // The UDP socket that gets what `peer` sends to `local`.
  Result<SocketFacts> receiver(u16 family, const SocketEnd& local, const SocketEnd& peer);

 private:
  Result<SocketFacts> ask(u8 protocol, u16 family, const SocketEnd& source, const SocketEnd& destination);

  UniqueFd netlink_;
  u32 sequence_ = 0;
};

}  // namespace bpfemu

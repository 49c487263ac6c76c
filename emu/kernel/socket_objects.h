// SPDX-License-Identifier: Apache-2.0
// Sockets as the kernel has them: struct socket by its inode, and behind it one struct sock by its cookie, which is at
// the same time the inet_sock, tcp_sock, udp_sock or unix_sock that begins with it. What bpfemu knows of a socket
// stands in them; the rest is 0.
#pragma once

#include "emu/kernel/object_space.h"
#include "emu/kernel/socket_facts.h"
#include "emu/kernel/symbols.h"

namespace bpfemu {

class SocketObjects {
 public:
  // `symbols` may be null: then what would point into the kernel's image is null.
  SocketObjects(ObjectSpace& space, const Symbols* symbols) : space_(space), symbols_(symbols) {}

  // Brought up to date with `facts`. Null: no BTF, no memory, or for socket(): no inode.
  KernelObject socket(const SocketFacts& facts);
  // Members are those of struct sock; view() shows the rest. Where the peer is not known any longer, the last one
  // stays.
  KernelObject sock(const SocketFacts& facts);
  KernelObject net(u32 inode);
  // The cookie of the socket whose struct sock is at an address of the arena; 0: there is none.
  u64 cookie_at(u64 address) const;
  // The struct socket behind the struct file at an address of the arena; 0: it is none of a socket.
  u64 of_file(u64 file) const;
  // The same object seen as another of the structs that begin where it begins: "inet_sock", "tcp_sock".
  KernelObject view(const KernelObject& sock, std::string_view structure) const {
    return KernelObject(sock.address(), space_.structure(structure));
  }

  // The last descriptor is closed: a sock whose connection goes on has no socket any longer.
  void orphan(const SocketFacts& facts);
  // The socket is no more.
  void forget(const SocketFacts& facts);

 private:
  void fill_common(const KernelObject& sock, const SocketFacts& facts);
  void fill_inet(const KernelObject& sock, const SocketFacts& facts);
  void fill_unix(const KernelObject& sock, const SocketFacts& facts);
  void fill_tcp(const KernelObject& sock, const SocketFacts& facts);
  u64 symbol(const char* name) const { return symbols_ && name ? symbols_->address(name) : 0; }

  ObjectSpace& space_;
  const Symbols* symbols_;
};

}  // namespace bpfemu

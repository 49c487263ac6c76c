// SPDX-License-Identifier: Apache-2.0
// What sockets add to the paths of calls that files have too. Each part is made before the host's kernel runs the call
// and is told the result after; behind a descriptor of anything else, or where nobody listens to sockets, it is
// nothing.
#pragma once

#include <vector>

#include "emu/hook/tcp.h"
#include "emu/hook/transit.h"

namespace bpfemu {

// Are there programs of cgroups that TCP asks?
bool asks_programs(const Occasion& occasion);

// The socket behind a descriptor, null when nobody listens to what sockets do.
SocketRef awaited_socket(Transit& call, int fd);

// A FIN, or a reset, has gone out: what that leads to on both ends (`other` may be null).
void tell_fin(Transit& call, Tcp& tcp, FollowedSocket& socket, FollowedSocket* other);

// The last descriptors of a process are closed as it ends, which is before we can see what comes of it: that is told
// when it is looked at again.
void close_sockets_at_exit(Occasion& occasion);

// kernel: tcp_close, when a socket's last descriptor is closed.
class SocketClosing {
 public:
  SocketClosing(Transit& call, int fd);
  // The descriptor is closed, or the call has failed.
  void closed(s64 result);

 private:
  void close();
  void close_listener();

  Transit& call_;
  Tcp tcp_;
  SocketRef socket_, peer_;
  SocketInUse used_, peer_used_;
};

// What a message is made of: a struct msghdr in the call's memory.
struct Message {
  u64 size = 0;
  u32 flags = 0;
  u64 name = 0, name_size = 0;  // the sockaddr that it is sent to, where the call has one
};
// The bytes that an array of iovecs holds; none: it cannot be read.
std::optional<u64> size_of_vector(Task& task, u64 vector, u64 count);

// kernel: sock_sendmsg and what the protocol makes of it.
class SocketSending {
 public:
  SocketSending(Transit& call, int fd, const Message& message);
  void done(s64 result);

 private:
  void datagram(s64 result);

  Transit& call_;
  Tcp tcp_;
  SocketRef socket_, peer_;
  SocketInUse used_, peer_used_;
  Passing sendmsg_;
  SocketEnd to_;
  int fd_;
};

// kernel: sock_recvmsg.
class SocketReceiving {
 public:
  SocketReceiving(Transit& call, int fd, const Message& message, u64 buffer);
  void done(s64 result);

 private:
  void clean_up(s64 copied);
  void read_actor(s64 result);

  Transit& call_;
  Tcp tcp_;
  SocketRef socket_, peer_;
  SocketInUse used_, peer_used_;
  Passing recvmsg_;
  Message message_;
  u64 header_ = 0, buffer_ = 0;
  int fd_;
};

}  // namespace bpfemu

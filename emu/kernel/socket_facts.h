// SPDX-License-Identifier: Apache-2.0
// What a socket of the host's really is: see socket(7), ip(7), tcp(7), unix(7). Plain facts, asked for when a hook
// needs them and true at that moment.
#pragma once

#include <linux/tcp.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <string>

#include "emu/base/result.h"

namespace bpfemu {

// States of a socket (kernel: include/net/tcp_states.h); those of other protocols are told with the same numbers.
enum TcpState : u8 {
  kTcpEstablished = 1,
  kTcpSynSent,
  kTcpSynRecv,
  kTcpFinWait1,
  kTcpFinWait2,
  kTcpTimeWait,
  kTcpClose,
  kTcpCloseWait,
  kTcpLastAck,
  kTcpListen,
  kTcpClosing,
  kTcpNewSynRecv,
};

// One end of an internet socket: an IPv4 address is its first 4 bytes, the rest 0; the port in host order.
struct SocketEnd {
  std::array<u8, 16> address{};
  u16 port = 0;

  u32 ip4() const;         // in network order
  bool is_mapped() const;  // an IPv6 address that means an IPv4 one
  bool is_any() const { return address == std::array<u8, 16>{}; }
  bool operator==(const SocketEnd&) const = default;
  // From what calls carry; of another family: 0.
  static SocketEnd from(const sockaddr_storage& name);
};

struct SocketFacts {
  u64 inode = 0;   // 0: nobody has accepted it, or its last descriptor is closed
  u64 cookie = 0;  // SO_COOKIE: the socket's own, never another's
  u32 netns = 0;   // inode of its network namespace; 0: not known
  u16 family = 0, type = 0, protocol = 0;
  u8 state = kTcpClose;
  SocketEnd local, peer;
  bool peer_known = false;  // getpeername() says so; a socket that was connected keeps its last one in the kernel
  bool connects = false, bound = false;  // by a connect() that was seen; to an address before that
  s32 bound_device = 0;
  bool reuse_address = false, reuse_port = false, v6_only = false;
  bool freebind = false, transparent = false, bind_address_no_port = false;
  u32 uid = 0, mark = 0, priority = 0;
  s32 send_buffer = 0, receive_buffer = 0;
  u32 ack_backlog = 0, max_ack_backlog = 0;  // of a listener: waiting to be accepted, and how many may
  u8 shutdown = 0;                           // RCV_SHUTDOWN 1, SEND_SHUTDOWN 2, where it is told
  u32 unread = 0;                            // bytes of a stream that wait to be received: SIOCINQ
  bool aborts = false;                       // SO_LINGER of no time: close() resets the connection
  int file_flags = 0;                        // O_NONBLOCK and the like, of the descriptor
  std::string path;                          // of a UNIX socket: sun_path, an abstract one with its NUL in front
  std::string congestion;                    // "cubic"
  u32 window_clamp = 0;                      // TCP_WINDOW_CLAMP
  u64 cgroup = 0;                            // struct cgroup that made it, in the arena; 0: not known
  std::optional<tcp_info> tcp;               // TCP_INFO

  bool internet() const { return family == AF_INET || family == AF_INET6; }
  bool is_tcp() const;
  // The IPv4 forms of its addresses, in network order (kernel: inet_saddr, inet_rcv_saddr, inet_daddr): what stands
  // there in a socket that speaks IPv6 depends on who set them.
  u32 source_ip4() const { return only_ip6() && connects && !bound ? 0 : receiving_ip4(); }
  u32 receiving_ip4() const { return ip4_of(local); }
  u32 peer_ip4() const { return only_ip6() && connects ? 0 : ip4_of(peer); }
  // What it sends to `end` stays on this machine: a loopback address, or its own.
  bool reaches_itself(const SocketEnd& end) const;
  // An AF_INET6 socket may speak IPv4.
  bool speaks_ip4() const {
    return family == AF_INET || (family == AF_INET6 && (peer.is_mapped() || local.is_mapped()));
  }

 private:
  bool only_ip6() const { return family == AF_INET6 && !speaks_ip4(); }
  u32 ip4_of(const SocketEnd& end) const;
};

// Of a descriptor of the supervisor's own. ENOTSOCK, EBADF. `netns` is left 0. Nothing of the socket changes: SO_ERROR
// is not asked.
Result<SocketFacts> socket_facts(int fd);
// Closes a descriptor that was copied from a traced process. If that closed the last of its own meanwhile, SO_LINGER
// may make this close wait: then somebody else waits.
void close_copied_socket(int fd);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Calls that make sockets and connections.
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <sys/syscall.h>

#include "emu/hook/capability_checks.h"
#include "emu/hook/changes.h"
#include "emu/hook/open_file.h"
#include "emu/hook/paths.h"
#include "emu/hook/socket_parts.h"

namespace bpfemu {

namespace {

constexpr u32 kUnconnected = 1;  // kernel: SS_UNCONNECTED
constexpr s64 kRestart = -512;  // ERESTARTSYS: the call is made once more

// What a function that returns int leaves in rax.
s64 as_int(s64 result) {
  return static_cast<u32>(result);
}

Sockets& sockets_of(const Transit& call) {
  return call.services().sockets;
}

// A struct sockaddr of the caller's, as the kernel has copied it (kernel: move_addr_to_kernel).
struct CallAddress {
  sockaddr_storage name{};
  u64 size = 0, at = 0;

  static std::optional<CallAddress> read(Transit& call, u64 address, u64 size) {
    CallAddress copied;
    copied.size = static_cast<u32>(size);
    if (copied.size > sizeof copied.name) return std::nullopt;
    if (copied.size && !call.task().read(address, &copied.name, copied.size)) return std::nullopt;
    copied.at = call.place(copied.name);
    return copied;
  }
  u16 family() const { return size >= sizeof name.ss_family ? name.ss_family : u16{AF_UNSPEC}; }
  SocketEnd end() const { return SocketEnd::from(name); }
};

// The socket and up to three plain numbers.
auto socket_arguments(Transit& call, const FollowedSocket& socket, u64 one, u64 two, u64 three) {
  return [&call, &socket, one, two, three](Arguments& a) {
    a[0] = sockets_of(call).socket(socket).address();
    a[1] = one;
    a[2] = two;
    a[3] = three;
  };
}

// A hook that is passed with them.
Passing enter_socket(Transit& call, Hook hook, const FollowedSocket& socket, u64 one = 0, u64 two = 0, u64 three = 0) {
  return call.enter(hook, socket_arguments(call, socket, one, two, three));
}

// The same where the security modules are asked.
bool ask_socket(Transit& call, Hook hook, const FollowedSocket& socket, u64 one = 0, u64 two = 0, u64 three = 0) {
  return call.ask(hook, socket_arguments(call, socket, one, two, three));
}

// What has been counted meanwhile is not yet, where it is told.
void change_count(FollowedSocket& socket, u32 tcp_info::* count, u32 by) {
  if (socket.facts.tcp) (*socket.facts.tcp).*count += by;
}

// kernel: sk_prot_alloc
bool ask_sk_alloc(Transit& call, const FollowedSocket& socket, u32 gfp) {
  return call.ask(Hook::security_sk_alloc, [&](Arguments& a) {
    a[0] = sockets_of(call).sock(socket).address();
    a[1] = socket.facts.family;
    a[2] = gfp;
  });
}
constexpr u32 kGfpKernel = 0xcc0, kGfpAtomic = 0xa20;

// The request that a child is made of, as far as its ends are told.
u64 place_request(Transit& call, const FollowedSocket& listener, const FollowedSocket& child) {
  const KernelStruct& type = call.services().objects.structure("tcp_request_sock");
  const u64 at = call.place_zeroed(type.size());
  const KernelObject common(at, call.services().objects.structure("sock_common"));
  const SocketFacts& facts = child.facts;
  common.set("skc_family", facts.family);
  common.set("skc_state", u8{kTcpNewSynRecv});
  common.set("skc_daddr", facts.peer_ip4());
  common.set("skc_rcv_saddr", facts.receiving_ip4());
  common.set("skc_dport", htons(facts.peer.port));
  common.set("skc_num", facts.local.port);
  common.set("skc_v6_daddr", facts.peer.address);
  common.set("skc_v6_rcv_saddr", facts.local.address);
  common.set("skc_listener", sockets_of(call).sock(listener).address());
  return at;
}

// A connection has come to a listener: the child, from the clone on (kernel: tcp_check_req).
void tell_birth(Transit& call, Tcp& tcp, FollowedSocket& listener, FollowedSocket& child) {
  if (!std::exchange(child.fresh, false)) return;
  const bool ip6 = listener.facts.family == AF_INET6;
  if (SocketOps* const programs = call.services().socket_ops) programs->born(listener, child);
  const auto fill = [&](Arguments& a) {
    const KernelObject sock = tcp.sockets().sock(listener);
    a[0] = sock.address();
    a[1] = tcp.packets().received(sock);
  };
  const Passing v6 = ip6 ? call.enter(Hook::tcp_v6_syn_recv_sock, fill) : Passing();
  const bool ip4 = child.facts.speaks_ip4();
  const Passing v4 = ip4 ? call.enter(Hook::tcp_v4_syn_recv_sock, fill) : Passing();
  // The clone has the listener's addresses when its state is first told.
  const SocketFacts real = child.facts;
  child.facts.local = listener.facts.local;
  child.facts.peer = {};
  child.told = kTcpListen;
  if (!ask_sk_alloc(call, child, kGfpAtomic)) call.note_unheeded("connections that LSM programs deny a socket");
  tcp.store_state(child, kTcpSynRecv);
  child.facts.local = real.local;
  child.facts.peer = real.peer;
  call.ask(Hook::security_inet_csk_clone, [&](Arguments& a) {
    a[0] = tcp.sock(child);
    a[1] = place_request(call, listener, child);
  });
  tcp.trace_congestion(child, 0);
  v4.leave(static_cast<s64>(tcp.sock(child)));
  v6.leave(static_cast<s64>(tcp.sock(child)));
  const Passing received = tcp.receive(child);
  child.told_delivered = 0;
  change_count(child, &tcp_info::tcpi_segs_in, ~0u);  // it is counted behind
  tcp.tell_round_trips(child);
  change_count(child, &tcp_info::tcpi_segs_in, 1);
  tcp.ask_programs(child, {.op = BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB});
  tcp.set_state(child, kTcpEstablished);
  received.leave(0);
  (void)child.take_segments();
  (void)child.take_sent();
}

// What the SYN met on this machine: a listener, or nobody.
void tell_syn(Tcp& tcp, FollowedSocket& socket, FollowedSocket* listener, bool refused) {
  constexpr u32 kSynHeader = 40, kResetHeader = 20, kNoSocket = 2;  // SKB_DROP_REASON_NO_SOCKET
  tcp.segment(socket, kSyn, kSynHeader);
  FollowedSocket other{};
  other.facts = socket.facts;
  std::swap(other.facts.local, other.facts.peer);
  if (listener) {
    const Passing received = tcp.receive(*listener);
    // kernel: tcp_conn_request, tcp_v4_send_synack
    for (u32 op : {BPF_SOCK_OPS_RWND_INIT, BPF_SOCK_OPS_TIMEOUT_INIT, BPF_SOCK_OPS_NEEDS_ECN})
      tcp.ask_programs(*listener, {.op = op, .request = &other.facts});
    tcp.segment(other, kSyn | kAck, kSynHeader);
    received.leave(0);
  } else if (refused) {
    const bool ip4 = socket.facts.speaks_ip4();
    tcp.packets().drop(ip4 ? "tcp_v4_rcv" : "tcp_v6_rcv", 0, kNoSocket);
    tcp.segment(other, kRst | kAck, kResetHeader);
  }
}

// The answer to a SYN, and what it leads to at the other end.
void tell_answer(Transit& call, Tcp& tcp, FollowedSocket& socket, FollowedSocket* listener, u8 seen) {
  const Passing received = tcp.receive(socket);
  if (seen == kTcpClose) {
    tcp.trace(Hook::trace_tcp_receive_reset, socket);
    tcp.set_state(socket, kTcpClose);
  } else {
    change_count(socket, &tcp_info::tcpi_segs_out, ~0u);  // its own answer is still to come
    tcp.tell_round_trips(socket);
    tcp.set_state(socket, kTcpEstablished);
    tcp.ask_programs(socket, {.op = BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB});
    change_count(socket, &tcp_info::tcpi_segs_out, 1);
    tcp.segment(socket, kAck);
    const SocketRef child = listener ? tcp.sockets().peer_of(call.task(), socket) : nullptr;
    if (child) tell_birth(call, tcp, *listener, *child);
  }
  received.leave(0);
  tcp.catch_up(socket, seen);
  (void)socket.take_segments();
  (void)socket.take_sent();
}

// Did the call come to tcp_set_state(TCP_SYN_SENT)? Others fail where the route is looked for.
bool sent_syn(s64 result) {
  switch (-result) {
    case 0:
    case EINPROGRESS:
    case EINTR:
    case ETIMEDOUT:
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED: return true;
    default: return result == kRestart;
  }
}

// kernel: tcp_v4_connect, tcp_v6_connect; a mapped address goes through both.
Path connecting_tcp(Transit& call, SocketRef socket, const CallAddress& to) {
  Tcp tcp(call);
  FollowedSocket& s = *socket;
  tcp.catch_up(s, s.facts.state);
  const SocketInUse used(socket);
  const Passing inet_stream_connect =
      enter_socket(call, Hook::inet_stream_connect, s, to.at, to.size, static_cast<u64>(s.facts.file_flags));
  const SocketEnd wanted = to.end();
  const bool starts = !s.connecting && s.told == kTcpClose && to.family() != AF_UNSPEC;
  const auto fill = [&](Arguments& a) {
    a[0] = tcp.sock(s);
    a[1] = to.at;
    a[2] = to.size;
  };
  const bool ip6 = s.facts.family == AF_INET6, ip4 = !ip6 || (to.family() == AF_INET6 && wanted.is_mapped());
  const Passing v6 = starts && ip6 ? call.enter(Hook::tcp_v6_connect, fill) : Passing();
  const Passing v4 = starts && ip4 ? call.enter(Hook::tcp_v4_connect, fill) : Passing();
  const u16 family = to.family();
  const SocketRef listener = starts ? tcp.sockets().listener(call.task(), family, wanted) : nullptr;
  const u16 port_before = s.facts.local.port;
  s.facts.bound = !s.facts.local.is_any();
  const std::optional<tcp_info> before = s.facts.tcp;

  const s64 result = co_await call.done();
  (void)tcp.sockets().behind(call.task(), static_cast<int>(call.arg(0)));
  s.connecting = result == -EINPROGRESS || result == -EALREADY || result == -EINTR || result == kRestart;
  if (!starts || !sent_syn(result)) {
    if (starts && result == -EADDRNOTAVAIL) {
      s.facts.peer = wanted;
      tcp.set_state(s, kTcpSynSent);
      tcp.set_state(s, kTcpClose);
    }
    v4.leave(as_int(result));
    v6.leave(as_int(result));
    tcp.catch_up(s, s.facts.state);
    inet_stream_connect.leave(as_int(result));
    co_return;
  }
  s.facts.peer = wanted;
  s.connected = s.facts.connects = true;
  // Who was refused has no address any longer.
  if (s.facts.local.is_any())
    s.facts.local.address = tcp.sockets().source_for(call.task(), to.name, static_cast<socklen_t>(to.size)).address;
  const u16 port = std::exchange(s.facts.local.port, port_before);
  tcp.set_state(s, kTcpSynSent);
  s.facts.local.port = port;
  (void)tcp.sock(s);  // its port is chosen
  const Passing tcp_connect = call.enter(Hook::tcp_connect, [&](Arguments& a) { a[0] = tcp.sock(s); });
  s.told_delivered = 0;
  for (u32 op : {BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_SOCK_OPS_RWND_INIT, BPF_SOCK_OPS_TIMEOUT_INIT, BPF_SOCK_OPS_NEEDS_ECN})
    tcp.ask_programs(s, {.op = op, .then = before ? &*before : nullptr});
  const bool near = listener || s.facts.reaches_itself(wanted);
  if (near) tell_syn(tcp, s, listener.get(), s.facts.state == kTcpClose);
  tcp_connect.leave(0);
  v4.leave(0);
  v6.leave(0);
  if (s.facts.state != kTcpSynSent) tell_answer(call, tcp, s, listener.get(), s.facts.state);
  (void)sockets_of(call).socket(s);  // it is connected now
  inet_stream_connect.leave(as_int(result));
}

}  // namespace

namespace {

// What socket() and socketpair() ask for.
struct Wanted {
  explicit Wanted(const Transit& call)
      : family(static_cast<u32>(call.arg(0))), type(call.arg(1) & kTypes), protocol(static_cast<u32>(call.arg(2))) {}
  static constexpr u64 kTypes = 0xf;  // SOCK_TYPE_MASK
  u64 family, type, protocol;
};

// kernel: __sys_socket_create, __sock_create
bool is_looked_at(const Transit& call, const Wanted& wanted) {
  constexpr u64 kFamilies = 46, kMostTypes = 11;  // NPROTO, SOCK_MAX
  const u64 flags = static_cast<u32>(call.arg(1)) & ~Wanted::kTypes;
  return !(flags & ~u64{SOCK_CLOEXEC | SOCK_NONBLOCK}) && wanted.family < kFamilies && wanted.type < kMostTypes;
}

void tell_creation(Transit& call, const Wanted& wanted) {
  if (!is_looked_at(call, wanted)) return;
  call.ask(Hook::security_socket_create, [&](Arguments& a) {
    a[0] = wanted.family;
    a[1] = wanted.type;
    a[2] = wanted.protocol;
  });
}

// It is known when it is made.
void tell_made(Transit& call, const Wanted& wanted, int fd) {
  const SocketRef made = sockets_of(call).behind(call.task(), fd);
  if (!made) return;
  const u64 socket = sockets_of(call).socket(*made).address();
  call.enter(Hook::sock_alloc, [](Arguments&) {}).leave(static_cast<s64>(socket));
  // kernel: inet_create and its kin say how it fails.
  if (!ask_sk_alloc(call, *made, kGfpKernel))
    call.fails_with(wanted.family == AF_UNIX || wanted.family == AF_NETLINK ? -ENOMEM : -ENOBUFS);
  call.ask(Hook::security_socket_post_create, [&](Arguments& a) {
    const KernelObject object = sockets_of(call).socket(*made);
    object.set("state", kUnconnected);  // ends of a pair are connected when both are there
    a[0] = object.address();
    a[1] = wanted.family;
    a[2] = wanted.type;
    a[3] = wanted.protocol;
  });
}

}  // namespace

// socket
Path making_socket(Transit& call) {
  const Wanted wanted(call);
  tell_creation(call, wanted);
  const bool internet = wanted.family == AF_INET || wanted.family == AF_INET6;
  if (wanted.family == AF_PACKET || (internet && wanted.type == SOCK_RAW)) pass_capable(call, CAP_NET_RAW);
  const s64 result = co_await call.done();
  if (result < 0) co_return;
  tell_made(call, wanted, static_cast<int>(result));
  if (call.denial()) (void)call.task().call(SYS_close, {static_cast<u64>(result)});
}

// They are not connected yet.
static void pass_pair(Transit& call, const int (&ends)[2]) {
  call.ask(Hook::security_socket_socketpair, [&](Arguments& a) {
    for (u32 n = 0; n < 2; ++n) {
      const SocketRef end = sockets_of(call).behind(call.task(), ends[n]);
      if (!end) continue;
      const KernelObject object = sockets_of(call).socket(*end);
      object.set("state", kUnconnected);
      a[n] = object.address();
    }
  });
}

// socketpair
Path making_pair(Transit& call) {
  const Wanted wanted(call);
  tell_creation(call, wanted);
  const s64 result = co_await call.done();
  int ends[2];
  if (result < 0 || !call.task().read(call.arg(3), ends, sizeof ends)) co_return;
  tell_made(call, wanted, ends[0]);
  tell_creation(call, wanted);
  tell_made(call, wanted, ends[1]);
  pass_pair(call, ends);
  if (!call.denial()) co_return;
  for (int end : ends) (void)call.task().call(SYS_close, {static_cast<u64>(end)});
}

// kernel: unix_bind. Abstract names are no files.
static Path binding_name(Transit& call, const CallAddress& address) {
  const sockaddr_un& un = reinterpret_cast<const sockaddr_un&>(address.name);
  constexpr size_t kBegin = offsetof(sockaddr_un, sun_path);
  if (address.size <= kBegin || !un.sun_path[0]) co_return;
  SocketName name{Lookup(call, std::string(un.sun_path, ::strnlen(un.sun_path, address.size - kBegin))), {}};
  if (name.at.named()) pass_socket_name(call, name);
  name.leave(call, co_await call.done());
}

// bind
Path binding(Transit& call) {
  const int fd = static_cast<int>(call.arg(0));
  const SocketRef socket = sockets_of(call).behind(call.task(), fd);
  const auto address = CallAddress::read(call, call.arg(1), call.arg(2));
  if (!socket || !address) co_return;
  ask_socket(call, Hook::security_socket_bind, *socket, address->at, address->size);
  if (socket->facts.family == AF_UNIX) {
    co_await binding_name(call, *address);
    co_return;
  }
  if (!socket->facts.internet()) co_return;
  const bool ip6 = socket->facts.family == AF_INET6;
  const Passing bind =
      enter_socket(call, ip6 ? Hook::inet6_bind : Hook::inet_bind, *socket, address->at, address->size);
  const s64 result = co_await call.done();
  // kernel: __inet_bind; sin_port and sin6_port lie at the same place.
  const u32 port = ntohs(reinterpret_cast<const sockaddr_in&>(address->name).sin_port);
  const bool possible = address->size >= sizeof(sockaddr_in) && result != -EADDRNOTAVAIL && result != -EAFNOSUPPORT;
  if (possible && port != 0 && port < sockets_of(call).first_free_port()) pass_capable(call, CAP_NET_BIND_SERVICE);
  (void)sockets_of(call).behind(call.task(), fd);
  (void)sockets_of(call).socket(*socket);  // what it is bound to now
  bind.leave(as_int(result));
}

// listen
Path listening(Transit& call) {
  const int fd = static_cast<int>(call.arg(0));
  const SocketRef socket = sockets_of(call).behind(call.task(), fd);
  if (!socket) co_return;
  Tcp tcp(call);
  const u64 most = sockets_of(call).most_waiting();
  const u64 backlog = std::min<u64>(static_cast<u32>(call.arg(1)), most);
  ask_socket(call, Hook::security_socket_listen, *socket, backlog);
  // Datagrams have no listen() of their own.
  if (socket->facts.family == AF_UNIX && socket->facts.type != SOCK_DGRAM) {
    const Passing unix_listen = enter_socket(call, Hook::unix_listen, *socket, backlog);
    const s64 result = co_await call.done();
    (void)sockets_of(call).behind(call.task(), fd);
    (void)sockets_of(call).socket(*socket);
    unix_listen.leave(as_int(result));
    co_return;
  }
  if (!socket->facts.is_tcp()) co_return;
  const Passing inet_listen = enter_socket(call, Hook::inet_listen, *socket, backlog);
  const s64 result = co_await call.done();
  (void)sockets_of(call).behind(call.task(), fd);
  if (result == 0 && socket->told == kTcpClose) {
    const Passing start = call.enter(Hook::inet_csk_listen_start, [&](Arguments& a) {
      const KernelObject sock = tcp.sockets().sock(*socket);
      sock.set("sk_max_ack_backlog", static_cast<u32>(backlog));
      a[0] = sock.address();
    });
    tcp.store_state(*socket, kTcpListen);
    start.leave(0);
    tcp.ask_programs(*socket, {.op = BPF_SOCK_OPS_TCP_LISTEN_CB});
  }
  (void)sockets_of(call).socket(*socket);
  inet_listen.leave(as_int(result));
}

// connect
Path connecting(Transit& call) {
  const SocketRef socket = sockets_of(call).behind(call.task(), static_cast<int>(call.arg(0)));
  const auto address = CallAddress::read(call, call.arg(1), call.arg(2));
  if (!socket || !address) co_return;
  ask_socket(call, Hook::security_socket_connect, *socket, address->at, address->size);
  const SocketFacts& facts = socket->facts;
  if (facts.is_tcp() && address->size >= sizeof(sa_family_t)) {
    co_await connecting_tcp(call, socket, *address);
  } else if (facts.family == AF_UNIX && facts.type == SOCK_STREAM) {
    const Passing unix_stream_connect = enter_socket(call, Hook::unix_stream_connect, *socket, address->at,
                                                     address->size, static_cast<u64>(facts.file_flags));
    const s64 result = co_await call.done();
    (void)sockets_of(call).behind(call.task(), static_cast<int>(call.arg(0)));
    (void)sockets_of(call).socket(*socket);
    unix_stream_connect.leave(as_int(result));
  }
}

// accept, accept4: the new socket is empty until a connection is there.
Path accepting(Transit& call) {
  const SocketRef listener = sockets_of(call).behind(call.task(), static_cast<int>(call.arg(0)));
  if (!listener) co_return;
  Tcp tcp(call);
  const bool asked = call.awaited(Hook::security_socket_accept) || call.decided(Hook::security_socket_accept) ||
                     call.awaited(Hook::sock_alloc);
  const KernelObject empty = asked ? local(call, "socket") : KernelObject();
  empty.set("state", kUnconnected);
  empty.set("type", static_cast<s16>(listener->facts.type));
  call.enter(Hook::sock_alloc, [](Arguments&) {}).leave(static_cast<s64>(empty.address()));
  ask_socket(call, Hook::security_socket_accept, *listener, empty.address());
  const Passing inet_csk_accept = listener->facts.is_tcp()
                                      ? call.enter(Hook::inet_csk_accept,
                                                   [&](Arguments& a) {
                                                     a[0] = tcp.sock(*listener);
                                                     a[1] = static_cast<u64>(listener->facts.file_flags);
                                                     a[2] = call.place(s32{0});
                                                   })
                                      : Passing();
  const s64 result = co_await call.done();
  const SocketRef made = result >= 0 ? sockets_of(call).behind(call.task(), static_cast<int>(result)) : nullptr;
  if (made) {
    (void)sockets_of(call).socket(*made);
    if (made->facts.is_tcp()) tell_birth(call, tcp, *listener, *made);
    if (SocketOps* const programs = call.services().socket_ops)
      programs->accepted(call.task(), *made, static_cast<int>(result));
  }
  inet_csk_accept.leave(made ? static_cast<s64>(tcp.sock(*made)) : 0);
  if (made && made->facts.is_tcp()) tcp.catch_up(*made, made->facts.state);
}

// dup2, dup3: what the new number meant before is closed.
Path replacing(Transit& call) {
  if (call.arg(0) == call.arg(1)) co_return;
  const Passing filp_close = enter_filp_close(call, call.arg(1));
  SocketClosing part(call, static_cast<int>(call.arg(1)));
  const s64 result = co_await call.done();
  filp_close.leave(0);
  co_await call.left();
  part.closed(result < 0 ? result : 0);
}

// shutdown
Path shutting_down(Transit& call) {
  const int fd = static_cast<int>(call.arg(0));
  const SocketRef socket = sockets_of(call).behind(call.task(), fd);
  if (!socket) co_return;
  Tcp tcp(call);
  ask_socket(call, Hook::security_socket_shutdown, *socket, call.arg(1));
  if (!socket->facts.is_tcp()) co_return;
  tcp.catch_up(*socket, socket->facts.state);
  const SocketRef peer = socket->facts.peer_known ? sockets_of(call).peer_of(call.task(), *socket) : nullptr;
  const SocketInUse used(socket), peer_used(peer);
  const s64 result = co_await call.done();
  (void)sockets_of(call).behind(call.task(), fd);
  const bool sends = result == 0 && call.arg(1) != SHUT_RD;
  const bool ends = sends && (socket->told == kTcpEstablished || socket->told == kTcpCloseWait);
  if (ends) {
    tcp.set_state(*socket, socket->told == kTcpEstablished ? kTcpFinWait1 : kTcpLastAck);
    tell_fin(call, tcp, *socket, peer.get());
  }
  tcp.catch_up(*socket, socket->facts.state);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Calls that make connections.
#include <netinet/in.h>

#include "emu/hook/open_file.h"
#include "emu/hook/paths.h"
#include "emu/hook/socket_calls.h"
#include "emu/hook/socket_parts.h"

namespace bpfemu {

namespace {

constexpr s64 kRestart = -512;  // ERESTARTSYS: the call is made once more

// What has been counted meanwhile is not yet, where it is told.
void change_count(FollowedSocket& socket, u32 tcp_info::* count, u32 by) {
  if (socket.facts.tcp) (*socket.facts.tcp).*count += by;
}

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

}  // namespace bpfemu

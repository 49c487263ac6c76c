// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/tcp.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "emu/hook/record.h"
#include "emu/hook/socket_watch.h"

namespace bpfemu {

namespace {

// What a socket comes to on its way from one state to another, by what arrives.
u8 next_state(u8 from, u8 to) {
  const bool closed = to == kTcpClose;
  switch (from) {
    case kTcpSynSent:
    case kTcpSynRecv: return closed ? kTcpClose : kTcpEstablished;
    case kTcpEstablished:
      return closed ? kTcpClose : to == kTcpCloseWait || to == kTcpLastAck ? kTcpCloseWait : kTcpFinWait1;
    case kTcpFinWait1: return closed ? kTcpClose : to == kTcpClosing ? kTcpClosing : kTcpFinWait2;
    case kTcpCloseWait: return closed ? kTcpClose : kTcpLastAck;
    default: return kTcpClose;
  }
}

std::vector<u8> route(u8 from, u8 to) {
  std::vector<u8> states;
  while (from != to && from != kTcpClose) states.push_back(from = next_state(from, to));
  return states;
}

// kernel: the fields that the tracepoints of TCP have in common, as their TP_fast_assign reads them.
void put_ends(Record& r, const SocketFacts& facts) {
  r.set("sport", facts.local.port);
  r.set("dport", facts.peer.port);
  r.set("family", facts.family);
  auto ip6 = [&](const SocketEnd& end) {
    std::array<u8, 16> address = end.address;
    if (facts.family == AF_INET6) return address;
    address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    store(address.data() + 12, end.ip4());
    return address;
  };
  const u32 from = facts.source_ip4(), to = facts.peer_ip4();
  r.bytes("saddr", &from, sizeof from);
  r.bytes("daddr", &to, sizeof to);
  r.bytes("saddr_v6", ip6(facts.local).data(), 16);
  r.bytes("daddr_v6", ip6(facts.peer).data(), 16);
}

}  // namespace

// A program that stands aside meanwhile finds the socket in its new state; those that are told see it in the old one.
void Tcp::change_state(FollowedSocket& socket, u8 state, bool by_function) {
  const u8 before = socket.told;
  const u64 at = sock(socket);
  socket.told = state;
  const Passing tcp_set_state = by_function ? occasion_.enter(Hook::tcp_set_state,
                                                              [&](Arguments& a) {
                                                                a[0] = at;
                                                                a[1] = state;
                                                              })
                                            : Passing();
  if (by_function && (socket.callbacks & BPF_SOCK_OPS_STATE_CB_FLAG))
    ask_programs(socket, {.op = BPF_SOCK_OPS_STATE_CB, .args = {before, state}});
  occasion_.trace(
      Hook::trace_inet_sock_set_state,
      [&](Arguments& a) {
        a[0] = at;
        a[1] = before;
        a[2] = state;
      },
      [&](Record& r) {
        r.set("skaddr", at);
        r.set("oldstate", before);
        r.set("newstate", state);
        r.set("protocol", socket.facts.protocol);
        put_ends(r, socket.facts);
      });
  (void)sock(socket);
  tcp_set_state.leave(0);
  if (state != kTcpClose && state != kTcpListen) occasion_.services().socket_watch.begin();
}

Passing Tcp::receive(const FollowedSocket& socket) {
  const bool established = socket.told == kTcpEstablished;
  return occasion_.enter(established ? Hook::tcp_rcv_established : Hook::tcp_rcv_state_process, [&](Arguments& a) {
    const KernelObject at = sockets().sock(socket);
    a[0] = at.address();
    a[1] = packets_.received(at);
  });
}

// The peer has all that was written and the FIN behind it, which counts as a byte.
void Tcp::acknowledge_all(FollowedSocket& socket) {
  if (!socket.facts.tcp) return;
  tcp_info& info = *socket.facts.tcp;
  const u64 sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans + info.tcpi_notsent_bytes;
  info.tcpi_bytes_acked = std::max<u64>(info.tcpi_bytes_acked, sent + socket.connected + 1);
  info.tcpi_notsent_bytes = 0;
}

void Tcp::catch_up(FollowedSocket& socket, u8 seen) {
  // Those who wait for their time to run out are no sockets any longer (kernel: tcp_time_wait).
  const bool waits = seen == kTcpTimeWait || (socket.closed && seen == kTcpFinWait2);
  std::vector<u8> states = route(socket.told, waits ? u8{kTcpFinWait2} : seen);
  const u8 last = states.empty() ? socket.told : states.back();
  if (waits && last != kTcpClose) states.push_back(kTcpClose);
  if (states.empty()) return;
  const Passing received = receive(socket);
  for (u8 state : states) {
    if (state == kTcpFinWait2 || socket.told == kTcpLastAck || socket.told == kTcpClosing) {
      acknowledge_all(socket);
      tell_last_round_trip(socket);
    }
    if (socket.told == kTcpFinWait2 && socket.facts.tcp) ++socket.facts.tcp->tcpi_bytes_received;  // the peer's FIN
    set_state(socket, state);
  }
  if (socket.told == kTcpClose && socket.closed) {
    trace(Hook::trace_tcp_destroy_sock, socket);
    // Nobody reads the peer's FIN any longer.
    if (waits) drop_with(socket, "sk_stream_kill_queues");
  }
  received.leave(0);
}

void Tcp::drop_with(const FollowedSocket& socket, const char* function) {
  constexpr u32 kNotSpecified = 1;  // SKB_DROP_REASON_NOT_SPECIFIED
  (void)packets_.received(sockets().sock(socket));
  packets_.drop(function, 0, kNotSpecified);
}

void Tcp::segment(const FollowedSocket& from, u8 flags, u32 header) {
  packets_.pass({.from = from.facts, .tcp_flags = flags, .header = header});
}

void Tcp::exchange(FollowedSocket& socket, FollowedSocket* other) {
  u32 to_other = other ? other->take_segments() : 0, to_socket = socket.take_segments();
  u64 left = socket.take_sent();
  if (const auto state = socket.take_congestion()) trace_congestion(socket, *state);
  if (other) (void)other->take_sent();
  for (; to_other > 0; --to_other) {
    const u32 payload = static_cast<u32>(left / to_other);
    left -= payload;
    const u8 flags = payload ? kAck | 8 : kAck;
    packets_.pass({.from = socket.facts, .tcp_flags = flags, .payload = payload});
    receive(*other).leave(0);
    if (to_socket == 0) continue;
    --to_socket;
    segment(*other, kAck);
    receive(socket).leave(0);
  }
  for (; to_socket > 0; --to_socket) {
    if (other) segment(*other, kAck);
    receive(socket).leave(0);
  }
  tell_round_trips(socket);
  if (other) tell_round_trips(*other);
}

// Of the FIN.
void Tcp::tell_last_round_trip(FollowedSocket& socket) {
  if (std::exchange(socket.fin_delivered, true)) return;
  if (socket.told_delivered) ++*socket.told_delivered;
  if (socket.callbacks & BPF_SOCK_OPS_RTT_CB_FLAG) ask_programs(socket, {.op = BPF_SOCK_OPS_RTT_CB});
}

s32 Tcp::ask_programs(FollowedSocket& socket, const SocketOp& op) {
  SocketOps* const programs = occasion_.services().socket_ops;
  return programs && programs->used() ? programs->call(occasion_.event(), socket, op) : 0;
}

// How many acknowledgements there were for several segments nobody tells.
void Tcp::tell_round_trips(FollowedSocket& socket) {
  const u32 delivered = socket.take_delivered();
  const bool ends = socket.told == kTcpFinWait1 || socket.told == kTcpLastAck || socket.told == kTcpClosing;
  socket.fin_delivered |= ends && delivered;
  if (!(socket.callbacks & BPF_SOCK_OPS_RTT_CB_FLAG) || !delivered) return;
  if (delivered > 1) occasion_.services().unmodelled.note("sock_ops: samples of the round-trip time, one by one");
  ask_programs(socket, {.op = BPF_SOCK_OPS_RTT_CB});
}

void Tcp::trace(Hook hook, const FollowedSocket& socket) {
  occasion_.trace(
      hook, [&](Arguments& a) { a[0] = sock(socket); },
      [&](Record& r) {
        r.set("skaddr", sock(socket));
        r.set("sock_cookie", socket.facts.cookie);
        put_ends(r, socket.facts);
      });
}

void Tcp::trace_congestion(const FollowedSocket& socket, u8 state) {
  occasion_.trace(
      Hook::trace_tcp_cong_state_set,
      [&](Arguments& a) {
        a[0] = sock(socket);
        a[1] = state;
      },
      [&](Record& r) {
        r.set("skaddr", sock(socket));
        r.set("cong_state", state);
        put_ends(r, socket.facts);
      });
}

}  // namespace bpfemu

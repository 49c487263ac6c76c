// SPDX-License-Identifier: Apache-2.0
// What the claimed kernel's TCP passes while the host's does its work. What happened is read off the sockets: the
// states, and how many segments each side has sent and received since it was looked at last. Both ends of a connection
// on this machine are told, for the task that sends does the receiver's part too; of one to elsewhere, this end alone.
//
// What arrives from elsewhere between calls is told at the next call on the socket that is looked at, in the right
// order.
#pragma once

#include "emu/hook/packets.h"
#include "emu/hook/socket_ops.h"

namespace bpfemu {

class Tcp {
 public:
  explicit Tcp(Occasion& occasion) : occasion_(occasion), packets_(occasion) {}

  Sockets& sockets() { return occasion_.services().sockets; }
  u64 sock(const FollowedSocket& socket) { return sockets().sock(socket).address(); }
  Packets& packets() { return packets_; }

  // kernel: tcp_set_state, and inet_sk_state_store, which a listener and its children go through alone.
  void set_state(FollowedSocket& socket, u8 state) { change_state(socket, state, true); }
  void store_state(FollowedSocket& socket, u8 state) { change_state(socket, state, false); }
  // A segment arrived: tcp_rcv_established or tcp_rcv_state_process, whichever the state says. What it leads to is told
  // before it is left.
  Passing receive(const FollowedSocket& socket);
  // From the state that programs know to the one that was `seen`, by segments that arrived.
  void catch_up(FollowedSocket& socket, u8 seen);
  // The segments since both were looked at last; `other` may be null, for a peer elsewhere.
  void exchange(FollowedSocket& socket, FollowedSocket* other);
  // A segment with no data.
  void segment(const FollowedSocket& from, u8 flags, u32 header = 32);

  // Programs of its cgroup are asked (kernel: tcp_call_bpf).
  s32 ask_programs(FollowedSocket& socket, const SocketOp& op);
  // The sample of the round-trip time that each acknowledgement of something new gives (kernel: tcp_bpf_rtt).
  void tell_round_trips(FollowedSocket& socket);

  // A tracepoint of TCP that tells of a socket alone.
  void trace(Hook hook, const FollowedSocket& socket);
  void trace_congestion(const FollowedSocket& socket, u8 state);

 private:
  void change_state(FollowedSocket& socket, u8 state, bool by_function);
  void acknowledge_all(FollowedSocket& socket);
  void tell_last_round_trip(FollowedSocket& socket);
  // What is still in its queues is freed with it.
  void drop_with(const FollowedSocket& socket, const char* function);

  Occasion& occasion_;
  Packets packets_;
};

constexpr u8 kFin = 1, kSyn = 2, kRst = 4, kAck = 16;

}  // namespace bpfemu

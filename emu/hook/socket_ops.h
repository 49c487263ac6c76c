// SPDX-License-Identifier: Apache-2.0
// What TCP asks programs of a socket's cgroup on its way (kernel: tcp_call_bpf and BPF_CGROUP_RUN_PROG_SOCK_OPS). Who
// tells of TCP says when; whoever holds the programs runs them.
#pragma once

#include <linux/bpf.h>

#include <array>

#include "emu/hook/event.h"
#include "emu/kernel/sockets.h"

namespace bpfemu {

struct SocketOp {
  u32 op = 0;                  // BPF_SOCK_OPS_*
  std::array<u32, 4> args{};   // as the kernel gives them to the op
  // The ends of a request for a connection, which is no full socket: programs see it in the place of the socket, which
  // is the listener.
  const SocketFacts* request = nullptr;
  const tcp_info* then = nullptr;  // TCP_INFO at the time, where it is told later
};

class SocketOps {
 public:
  virtual ~SocketOps() = default;
  // Is, or was, a program attached?
  virtual bool used() const = 0;
  // The reply of the programs; -1: one has returned 0. 0: there are none.
  virtual s32 call(const Event& event, FollowedSocket& socket, const SocketOp& op) = 0;
  // A connection has come to a listener: it belongs to the listener's cgroup, and inherits what programs have set.
  virtual void born(FollowedSocket& listener, FollowedSocket& child) = 0;
  // It has been accepted: options that programs have set meanwhile become those of the real one.
  virtual void accepted(Task& task, FollowedSocket& child, int fd) = 0;
  // A process ends, and with it those sockets that no other has (kernel: inet_release).
  virtual void process_ends(Task& task) = 0;
};

}  // namespace bpfemu

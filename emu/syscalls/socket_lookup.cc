// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/socket_lookup.h"

#include <linux/bpf.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace bpfemu {

namespace {

SocketEnd end_of(const void* address, size_t size, u16 port) {
  SocketEnd end;
  std::memcpy(end.address.data(), address, size);
  end.port = ntohs(port);
  return end;
}

}  // namespace

// Kernel: __inet_lookup, sk_to_full_sk.
SocketRef SocketLookup::tcp(u16 family, const SocketEnd& local, const SocketEnd& peer, bool full) {
  Sockets& sockets = system_.probes->sockets();
  const SocketRef socket = sockets.connected(task_, family, local, peer);
  if (!socket) return sockets.listener(task_, family, local);
  const u8 state = socket->facts.state;
  if (full && (state == kTcpNewSynRecv || (state == kTcpSynRecv && !socket->facts.inode)))
    return sockets.listener(task_, family, local);
  return full && state == kTcpTimeWait ? nullptr : socket;
}

// With all that a descriptor tells, when a process of the tree has one.
SocketRef SocketLookup::whole(SocketRef socket) {
  if (!socket->facts.inode) return socket;
  for (pid_t process : system_.host.thread_groups()) {
    Task* const task = system_.host.find_task(process);
    SocketRef held = task ? system_.probes->sockets().of_inode(*task, socket->facts.inode) : nullptr;
    if (held) return held;
  }
  return socket;
}

u64 SocketLookup::find(void* self, const void* tuple, u16 family, u8 protocol, s32 netns, bool full) {
  auto& lookup = *static_cast<SocketLookup*>(self);
  if (netns >= 0) {
    lookup.system_.unmodelled.note("network namespaces by their ids, for programs");
    return 0;
  }
  SocketEnd local, peer;
  bpf_sock_tuple ends{};
  if (family == AF_INET) {
    std::memcpy(&ends.ipv4, tuple, sizeof ends.ipv4);
    peer = end_of(&ends.ipv4.saddr, sizeof ends.ipv4.saddr, ends.ipv4.sport);
    local = end_of(&ends.ipv4.daddr, sizeof ends.ipv4.daddr, ends.ipv4.dport);
  } else {
    std::memcpy(&ends.ipv6, tuple, sizeof ends.ipv6);
    peer = end_of(&ends.ipv6.saddr, sizeof ends.ipv6.saddr, ends.ipv6.sport);
    local = end_of(&ends.ipv6.daddr, sizeof ends.ipv6.daddr, ends.ipv6.dport);
  }
  SocketRef socket = protocol == IPPROTO_TCP
                         ? lookup.tcp(family, local, peer, full)
                         : lookup.system_.probes->sockets().receiver(lookup.task_, family, local, peer);
  if (!socket) return 0;
  auto held = lookup.system_.socket_maps->hold(lookup.whole(std::move(socket)));
  if (!held) return 0;
  if (std::ranges::find(lookup.found_, *held) == lookup.found_.end()) lookup.found_.push_back(*held);
  return (*held)->runtime_address();
}

}  // namespace bpfemu

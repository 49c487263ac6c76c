// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/orphans.h"

#include <algorithm>

#include "emu/hook/tcp.h"

namespace bpfemu {

Orphans::~Orphans() {
  if (timer_) services_.host.cancel_timer(*timer_);
}

void Orphans::add(SocketRef socket) {
  if (sockets_.size() >= kMost) sockets_.erase(sockets_.begin());
  sockets_.push_back(std::move(socket));
  if (!timer_) timer_ = services_.host.add_timer(kPeriod, [this] { look(); });
}

void Orphans::look() {
  Occasion occasion(sink_, services_, Event{});
  Tcp tcp(occasion);
  const std::vector<SocketRef> all = sockets_;  // a program may stand aside meanwhile
  for (const SocketRef& socket : all) {
    const SocketFacts now = tcp.sockets().look_again(nullptr, *socket);
    tcp.catch_up(*socket, now.state);
    if (socket->told == kTcpClose) tcp.sockets().forget(*socket);
  }
  const bool awaited = occasion.awaited(Hook::trace_inet_sock_set_state) || occasion.awaited(Hook::tcp_set_state);
  std::erase_if(sockets_, [&](const SocketRef& socket) { return !awaited || socket->told == kTcpClose; });
  if (!sockets_.empty() || !timer_) return;
  services_.host.cancel_timer(*timer_);
  timer_.reset();
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/socket_watch.h"

#include <time.h>

#include <utility>

#include "emu/hook/socket_parts.h"

namespace bpfemu {

SocketWatch::~SocketWatch() {
  if (timer_) services_.host.cancel_timer(*timer_);
}

void SocketWatch::begin() {
  if (!timer_) timer_ = services_.host.add_timer(kPeriod, [this] { look(); });
}

// Programs may stand aside meanwhile: the sockets are held, and one whose call has begun is that call's to tell.
void SocketWatch::look() {
  const u64 began = services_.host.clock(CLOCK_MONOTONIC);
  if (began < rests_until_ || std::exchange(looking_, true)) return;
  Occasion occasion(sink_, services_, Event{});
  Tcp tcp(occasion);
  const bool awaited = asks_programs(occasion) || occasion.awaited(Hook::trace_inet_sock_set_state) ||
                       occasion.awaited(Hook::tcp_set_state);
  const std::vector<SocketRef> connections = awaited ? tcp.sockets().connections() : std::vector<SocketRef>();
  if (connections.empty() && timer_) {
    services_.host.cancel_timer(*timer_);
    timer_.reset();
  }
  for (const SocketRef& socket : connections) {
    if (socket->calls) continue;
    const SocketFacts now = tcp.sockets().look_again(nullptr, *socket);
    const bool left = socket->facts.inode != 0 && now.inode == 0;
    socket->closed |= left;
    if (now.state != kTcpClose) socket->facts = now;
    tcp.tell_round_trips(*socket);
    tcp.catch_up(*socket, now.state);
    if (socket->told == kTcpClose && socket->closed) tcp.sockets().forget(*socket);
  }
  looking_ = false;
  const u64 now = services_.host.clock(CLOCK_MONOTONIC);
  rests_until_ = now + kRest * (now - began);
}

}  // namespace bpfemu

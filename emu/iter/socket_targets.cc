// SPDX-License-Identifier: Apache-2.0
// tcp, udp and unix: the sockets of the reader's network that a process of the tree has a descriptor of. Of TCP,
// listeners come first; otherwise they are in the order in which they were made (the kernel's is that of its hash
// tables).
#include <netinet/in.h>

#include <algorithm>
#include <map>

#include "emu/iter/targets.h"
#include "emu/kernel/network.h"
#include "emu/kernel/sockets.h"

namespace bpfemu {

namespace {

using Wanted = bool (*)(const SocketFacts& facts);

// What is in the tables that the kernel walks.
bool is_hashed_tcp(const SocketFacts& facts) {
  return facts.is_tcp() && facts.state != kTcpClose;
}
bool is_hashed_udp(const SocketFacts& facts) {
  return facts.internet() && facts.protocol == IPPROTO_UDP && facts.local.port != 0;
}
bool is_unix(const SocketFacts& facts) {
  return facts.family == AF_UNIX;
}

class SocketsWalk : public IterWalk {
 public:
  SocketsWalk(IterWorld& world, Wanted wanted, u32 network) : world_(world), wanted_(wanted), network_(network) {}
  bool begins_with_heading() const override { return true; }
  Result<bool> start() override {
    list();
    return settle();
  }
  bool next() override {
    ++position_.second;
    return settle();
  }
  void show(std::span<u64> words, Run&) override {
    if (at_ == sockets_.end()) return;
    const SocketRef& socket = at_->second;
    world_.sockets.socket(*socket);
    words[0] = world_.sockets.sock(*socket).address();
    words[1] = socket->facts.uid;
    words[2] = socket->facts.local.port % kUdpBuckets;
  }

 private:
  static constexpr u32 kUdpBuckets = 1024;
  // Whether it does not listen, and its cookie, which counts up.
  using Place = std::pair<bool, u64>;

  void list() {
    sockets_.clear();
    for (pid_t process : world_.host.thread_groups()) {
      Task* task = world_.host.find_task(process);
      if (!task) continue;
      for (SocketRef& socket : world_.sockets.of_process(*task)) {
        const SocketFacts& facts = socket->facts;
        if (!wanted_(facts) || (facts.netns && facts.netns != network_)) continue;
        const Place place{facts.state != kTcpListen && facts.is_tcp(), facts.cookie};
        sockets_.emplace(place, std::move(socket));
      }
    }
  }
  bool settle() {
    at_ = sockets_.lower_bound(position_);
    if (at_ == sockets_.end()) return false;
    position_ = at_->first;
    return true;
  }

  IterWorld& world_;
  Wanted wanted_;
  u32 network_;
  std::map<Place, SocketRef> sockets_;
  std::map<Place, SocketRef>::iterator at_;
  Place position_{};
};

class SocketsSubject : public IterSubject {
 public:
  SocketsSubject(IterWorld& world, Wanted wanted) : world_(world), wanted_(wanted) {}
  Result<std::unique_ptr<IterWalk>> walk(Task& reader) override {
    return std::make_unique<SocketsWalk>(world_, wanted_, network_of(reader));
  }

 private:
  IterWorld& world_;
  Wanted wanted_;
};

}  // namespace

Result<std::unique_ptr<IterSubject>> tcp_subject(const IterRequest& request) {
  return std::make_unique<SocketsSubject>(request.world, is_hashed_tcp);
}
Result<std::unique_ptr<IterSubject>> udp_subject(const IterRequest& request) {
  return std::make_unique<SocketsSubject>(request.world, is_hashed_udp);
}
Result<std::unique_ptr<IterSubject>> unix_subject(const IterRequest& request) {
  return std::make_unique<SocketsSubject>(request.world, is_unix);
}

}  // namespace bpfemu

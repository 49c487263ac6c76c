// SPDX-License-Identifier: Apache-2.0
// tcp, udp and unix: the sockets of the reader's network that a process of the tree has a descriptor of; and
// bpf_sk_storage_map: those, of any network, that have a value in a map. Of TCP,
// listeners come first; otherwise they are in the order in which they were made (the kernel's is that of its hash
// tables).
#include <netinet/in.h>

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "emu/iter/targets.h"
#include "emu/kernel/network.h"
#include "emu/kernel/sockets.h"
#include "emu/runtime/maps/object_storage.h"

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
    const FollowedSocket* const socket = current();
    if (!socket) return;
    words[0] = sock_of(*socket);
    words[1] = socket->facts.uid;
    words[2] = socket->facts.local.port % kUdpBuckets;
  }

 protected:
  // Null: there are no more.
  const FollowedSocket* current() const { return at_ == sockets_.end() ? nullptr : at_->second.get(); }
  u64 sock_of(const FollowedSocket& socket) {
    world_.sockets.socket(socket);
    return world_.sockets.sock(socket).address();
  }
  virtual bool wants(const SocketFacts& facts) const {
    return wanted_(facts) && (!facts.netns || facts.netns == network_);
  }

  IterWorld& world_;

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
        if (!wants(facts)) continue;
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

class StorageWalk : public SocketsWalk {
 public:
  StorageWalk(IterWorld& world, std::shared_ptr<MapObject> map)
      : SocketsWalk(world, nullptr, 0), map_(std::move(map)) {}
  bool begins_with_heading() const override { return false; }
  void show(std::span<u64> words, Run&) override {
    words[0] = world_.bpf.map(*map_).address();
    const FollowedSocket* const socket = current();
    void* const value = socket ? storage_find(map_->map(), socket->facts.cookie) : nullptr;
    if (!value) return;
    words[1] = sock_of(*socket);
    words[2] = reinterpret_cast<u64>(value);
  }

 protected:
  bool wants(const SocketFacts& facts) const override { return storage_find(map_->map(), facts.cookie); }

 private:
  std::shared_ptr<MapObject> map_;
};

class StorageSubject : public IterSubject {
 public:
  StorageSubject(IterWorld& world, std::shared_ptr<MapObject> map) : world_(world), map_(std::move(map)) {}
  Result<std::unique_ptr<IterWalk>> walk(Task&) override { return std::make_unique<StorageWalk>(world_, map_); }
  void fill_info(bpf_link_info& info) const override { info.iter.map.map_id = map_->id(); }
  std::string fdinfo() const override { return fmt::format("map_id:\t{}\n", map_->id()); }

 private:
  IterWorld& world_;
  std::shared_ptr<MapObject> map_;  // as user space holds it
};

}  // namespace

// Kernel: bpf_iter_attach_map of bpf_sk_storage.
Result<std::unique_ptr<IterSubject>> sk_storage_subject(const IterRequest& request) {
  if (!request.info.map.map_fd) return fail(EBADF);
  auto map = TRY(request.world.map_of(request.task, request.info.map.map_fd));
  if (map->map().type != BPF_MAP_TYPE_SK_STORAGE) return fail(EINVAL);
  if (request.program.verified.max_value_access > map->map().value_size) return fail(EACCES);
  return std::make_unique<StorageSubject>(request.world, std::move(map));
}

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

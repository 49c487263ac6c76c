// SPDX-License-Identifier: Apache-2.0
// netlink and ipv6_route: what there is of these in the reader's network, as the host's kernel lists it, in its order.
#include <linux/netlink.h>
#include <sys/socket.h>

#include <map>

#include "emu/iter/targets.h"
#include "emu/kernel/network.h"
#include "emu/kernel/network_objects.h"
#include "emu/kernel/sockets.h"

namespace bpfemu {

namespace {

// Over the rows of a table that is read anew for each read; where it ended is a number, as in the kernel.
template <class Row>
class TableWalk : public IterWalk {
 public:
  TableWalk(IterWorld& world, Task& reader)
      : world_(world), reader_(reader.tid()), network_(network_of(reader)) {}
  Result<bool> start() override {
    rows_ = TRY(read(reader_));
    return at_ < rows_.size();
  }
  bool next() override { return ++at_ < rows_.size(); }
  void show(std::span<u64> words, Run&) override {
    if (at_ < rows_.size()) words[0] = object(rows_[at_]).address();
  }

 protected:
  virtual Result<std::vector<Row>> read(pid_t reader) = 0;
  virtual KernelObject object(const Row& row) = 0;
  Task* reader() const { return world_.host.find_task(reader_); }
  IterWorld& world() { return world_; }
  u32 network() const { return network_; }

 private:
  IterWorld& world_;
  pid_t reader_;
  u32 network_;
  std::vector<Row> rows_;
  size_t at_ = 0;
};

class NetlinkWalk : public TableWalk<NetlinkSocket> {
 public:
  using TableWalk::TableWalk;
  bool begins_with_heading() const override { return true; }

 private:
  Result<std::vector<NetlinkSocket>> read(pid_t reader) override {
    of_tree_.clear();
    for (pid_t process : world().host.thread_groups()) {
      Task* task = world().host.find_task(process);
      if (!task) continue;
      for (SocketRef& socket : world().sockets.of_process(*task))
        if (socket->facts.family == AF_NETLINK) of_tree_.emplace(socket->facts.inode, std::move(socket));
    }
    return netlink_sockets(reader);
  }
  KernelObject object(const NetlinkSocket& row) override {
    const auto known = of_tree_.find(row.inode);
    KernelObject sock;
    if (known != of_tree_.end()) {
      world().sockets.socket(*known->second);
      sock = world().sockets.sock(*known->second);
    } else {
      const SocketFacts facts = of_others(row);
      world().sockets.objects().socket(facts);
      sock = world().sockets.objects().sock(facts);
    }
    fill_netlink_sock(world().space, sock, row);
    return sock;
  }
  // One that no process of the tree has, as the kernel itself has many: under a cookie that no socket has.
  SocketFacts of_others(const NetlinkSocket& row) const {
    SocketFacts facts;
    facts.inode = row.inode;
    facts.cookie = u64{1} << 63 | u64{network() & 0x3ffffff} << 37 | u64{row.protocol} << 32 | row.port;
    facts.netns = network();
    facts.family = AF_NETLINK;
    facts.type = SOCK_RAW;
    facts.protocol = static_cast<u16>(row.protocol);
    return facts;
  }

  std::map<u64, SocketRef> of_tree_;  // by their inodes
};

class RouteWalk : public TableWalk<Route6> {
 public:
  using TableWalk::TableWalk;

 private:
  Result<std::vector<Route6>> read(pid_t reader) override { return routes6(reader); }
  KernelObject object(const Route6& row) override {
    return route_object(world().space, network(), row, device(row.device));
  }
  std::optional<DeviceFacts> device(const std::string& name) {
    const UniqueFd netlink = make_socket_in(reader(), network(), AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    auto facts = netlink ? device_facts(netlink.get(), 0, name) : fail(ENODEV);
    return facts ? std::optional(std::move(*facts)) : std::nullopt;
  }
};

template <class Walk>
class NetworkSubject : public IterSubject {
 public:
  explicit NetworkSubject(IterWorld& world) : world_(world) {}
  Result<std::unique_ptr<IterWalk>> walk(Task& reader) override { return std::make_unique<Walk>(world_, reader); }

 private:
  IterWorld& world_;
};

}  // namespace

Result<std::unique_ptr<IterSubject>> netlink_subject(const IterRequest& request) {
  return std::make_unique<NetworkSubject<NetlinkWalk>>(request.world);
}
Result<std::unique_ptr<IterSubject>> ipv6_route_subject(const IterRequest& request) {
  return std::make_unique<NetworkSubject<RouteWalk>>(request.world);
}

}  // namespace bpfemu

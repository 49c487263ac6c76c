// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/sockets.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "emu/kernel/cgroup_objects.h"
#include "emu/kernel/network.h"

namespace bpfemu {

namespace {

u64 device_of_sockets() {
  const UniqueFd any(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  struct stat st;
  return any && ::fstat(any.get(), &st) == 0 ? st.st_dev : 0;
}

// `call(descriptor, "socket:[INODE]")` for those that the process has, until it returns false.
void for_each_socket(pid_t process, const auto& call) {
  DIR* descriptors = ::opendir(fmt::format("/proc/{}/fd", process).c_str());
  if (!descriptors) return;
  bool more = true;
  for (const dirent* entry; more && (entry = ::readdir(descriptors));) {
    char link[64] = {};
    if (::readlinkat(::dirfd(descriptors), entry->d_name, link, sizeof link - 1) <= 0) continue;
    if (std::string_view(link).starts_with("socket:")) more = call(std::atoi(entry->d_name), std::string_view(link));
  }
  ::closedir(descriptors);
}

// What changes. In TIME_WAIT there is no TCP_INFO any longer.
void update(SocketFacts& facts, const SocketFacts& now) {
  facts.state = now.state;
  facts.inode = now.inode;
  facts.ack_backlog = now.ack_backlog;
  facts.max_ack_backlog = now.max_ack_backlog;
  if (now.tcp) facts.tcp = now.tcp;
}

u32 setting(const char* path, u32 otherwise) {
  const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
  char text[16] = {};
  if (!file || ::read(file.get(), text, sizeof text - 1) <= 0) return otherwise;
  return static_cast<u32>(::strtoul(text, nullptr, 10));
}

}  // namespace

u32 FollowedSocket::take_segments() {
  if (!facts.tcp || told == kTcpListen) return 0;
  const u32 now = facts.tcp->tcpi_segs_in;
  return now - std::exchange(told_segments, now).value_or(now);
}

u64 FollowedSocket::take_sent() {
  if (!facts.tcp || told == kTcpListen) return 0;
  const u64 now = facts.tcp->tcpi_bytes_sent - facts.tcp->tcpi_bytes_retrans;
  return now - std::exchange(told_sent, now).value_or(now);
}

std::optional<u8> FollowedSocket::take_congestion() {
  if (!facts.tcp || told == kTcpListen) return std::nullopt;
  const u8 now = facts.tcp->tcpi_ca_state;
  return std::exchange(told_congestion, now).value_or(now) == now ? std::nullopt : std::optional<u8>(now);
}

u32 FollowedSocket::take_delivered() {
  if (!facts.tcp || told == kTcpListen) return 0;
  const u32 now = facts.tcp->tcpi_delivered;
  return now - std::exchange(told_delivered, now).value_or(now);
}

SocketDiag* Sockets::diag(Task* task, u32 network) {
  if (const auto known = networks_.find(network); known != networks_.end()) return &known->second;
  UniqueFd netlink = make_socket_in(task, network, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
  if (!netlink) return nullptr;
  if (networks_.size() >= kMostNetworks) networks_.clear();
  return &networks_.try_emplace(network, std::move(netlink)).first->second;
}

SocketEnd Sockets::source_for(Task& task, const sockaddr_storage& peer, socklen_t size) {
  const UniqueFd any = make_socket_in(&task, network_of(task), peer.ss_family, SOCK_DGRAM, 0);
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  if (::connect(any.get(), reinterpret_cast<const sockaddr*>(&peer), size) != 0 ||
      ::getsockname(any.get(), reinterpret_cast<sockaddr*>(&name), &length) != 0)
    return {};
  SocketEnd source = SocketEnd::from(name);
  source.port = 0;
  return source;
}

// A socket that is seen for the first time is known in the state that it has.
SocketRef Sockets::follow(SocketFacts facts, bool partly) {
  if (facts.cookie == 0) return nullptr;
  if (by_cookie_.size() >= kMost) {
    std::erase_if(by_cookie_, [](const auto& entry) { return entry.second->told == kTcpClose; });
    if (by_cookie_.size() >= kMost) by_cookie_.clear();
  }
  SocketRef& known = by_cookie_[facts.cookie];
  if (!known) {
    known = std::make_shared<FollowedSocket>();
    known->told = facts.state;
    known->connecting = facts.state == kTcpSynSent;
    known->facts = std::move(facts);
  } else if (partly) {
    update(known->facts, facts);
  } else {
    if (!facts.peer_known) facts.peer = known->facts.peer;
    facts.connects = known->facts.connects;
    facts.bound = known->facts.bound;
    known->facts = std::move(facts);
  }
  if (!known->cgroup && known->facts.inode && cgroup_of) known->cgroup = cgroup_of(known->facts.inode);
  // Only TCP's states are told one by one.
  if (!known->facts.is_tcp()) known->told = known->facts.state;
  return known;
}

SocketRef Sockets::behind(Task& task, int fd) {
  if (device_ == 0) device_ = device_of_sockets();
  const auto id = task.file_id(fd);
  if (!id || id->dev != device_) return nullptr;
  const auto copy = task.share_fd(fd);
  if (!copy) return nullptr;
  auto facts = socket_facts(*copy);
  close_copied_socket(*copy);
  if (!facts) return nullptr;
  facts->netns = network_of(task);
  return follow(std::move(*facts), false);
}

SocketRef Sockets::connected(Task& task, u16 family, const SocketEnd& local, const SocketEnd& peer) {
  const u32 network = network_of(task);
  SocketDiag* told = diag(&task, network);
  auto facts = told ? told->connected(family, local, peer) : fail(EOPNOTSUPP);
  if (!facts) return nullptr;
  // What waits for its time to run out is no socket any longer.
  const bool waits = facts->inode == 0 && (facts->state == kTcpTimeWait || facts->state == kTcpFinWait2);
  if (waits && !by_cookie_.contains(facts->cookie)) return nullptr;
  facts->netns = network;
  return follow(std::move(*facts), true);
}

SocketRef Sockets::listener(Task& task, u16 family, const SocketEnd& local) {
  const u32 network = network_of(task);
  SocketDiag* told = diag(&task, network);
  auto facts = told ? told->listener(family, local) : fail(EOPNOTSUPP);
  if (!facts) return nullptr;
  facts->netns = network;
  return follow(std::move(*facts), true);
}

SocketRef Sockets::receiver(Task& task, u16 family, const SocketEnd& local, const SocketEnd& peer) {
  const u32 network = network_of(task);
  SocketDiag* told = diag(&task, network);
  auto facts = told ? told->receiver(family, local, peer) : fail(EOPNOTSUPP);
  if (!facts) return nullptr;
  facts->netns = network;
  return follow(std::move(*facts), true);
}

SocketFacts Sockets::look_again(Task* task, const FollowedSocket& socket) {
  SocketFacts now = socket.facts;
  SocketDiag* told = diag(task, now.netns);
  const bool listens = now.state == kTcpListen;
  auto facts = !told     ? Result<SocketFacts>(fail(EOPNOTSUPP))
               : listens ? told->listener(now.family, now.local)
                         : told->connected(now.family, now.local, now.peer);
  now.inode = 0;
  now.state = kTcpClose;
  if (facts && facts->cookie == now.cookie) update(now, *facts);
  return now;
}

SocketRef Sockets::at(u64 address) const {
  const u64 cookie = objects_.cookie_at(address);
  const auto known = by_cookie_.find(cookie);
  return cookie && known != by_cookie_.end() ? known->second : nullptr;
}

std::vector<SocketRef> Sockets::connections() const {
  std::vector<SocketRef> all;
  for (const auto& [cookie, socket] : by_cookie_)
    if (socket->facts.is_tcp() && socket->told != kTcpClose && socket->told != kTcpListen) all.push_back(socket);
  return all;
}

std::vector<SocketRef> Sockets::waiting_at(const FollowedSocket& listener) const {
  std::vector<SocketRef> waiting;
  for (const auto& [cookie, socket] : by_cookie_) {
    const SocketFacts& facts = socket->facts;
    const bool its =
        facts.is_tcp() && facts.netns == listener.facts.netns && facts.local.port == listener.facts.local.port;
    if (its && facts.inode == 0 && !socket->closed && socket->told != kTcpClose) waiting.push_back(socket);
  }
  return waiting;
}

u32 Sockets::most_waiting() { return setting("/proc/sys/net/core/somaxconn", 4096); }
u32 Sockets::first_free_port() { return setting("/proc/sys/net/ipv4/ip_unprivileged_port_start", 1024); }

UniqueFd Sockets::descriptor_of(Host& host, u64 inode) {
  const std::string name = fmt::format("socket:[{}]", inode);
  UniqueFd found;
  for (pid_t process : host.thread_groups()) {
    Task* const task = host.find_task(process);
    if (!task) continue;
    for_each_socket(process, [&](int fd, std::string_view link) {
      if (link == name) found.reset(task->share_fd(fd).value_or(-1));
      return !found;
    });
    if (found) break;
  }
  return found;
}

std::vector<SocketRef> Sockets::of_process(Task& task) {
  std::map<u64, SocketRef> found;  // by cookie: each once
  for_each_socket(task.tgid(), [&](int fd, std::string_view) {
    if (SocketRef socket = behind(task, fd)) found.emplace(socket->facts.cookie, std::move(socket));
    return true;
  });
  std::vector<SocketRef> all;
  for (auto& [cookie, socket] : found) all.push_back(std::move(socket));
  return all;
}

SocketRef Sockets::of_inode(Task& process, u64 inode) {
  const std::string name = fmt::format("socket:[{}]", inode);
  SocketRef found;
  for_each_socket(process.tgid(), [&](int fd, std::string_view link) {
    if (link == name) found = behind(process, fd);
    return !found;
  });
  return found;
}

bool Sockets::held_by(const std::vector<pid_t>& tree, const FollowedSocket& socket) {
  const std::string name = fmt::format("socket:[{}]", socket.facts.inode);
  bool found = false;
  for (pid_t process : tree)
    for_each_socket(process, [&](int, std::string_view link) { return !(found |= link == name); });
  return found;
}

std::set<u64> Sockets::inodes_of(const std::vector<pid_t>& tree) {
  constexpr std::string_view kPrefix = "socket:[";
  std::set<u64> inodes;
  for (pid_t process : tree)
    for_each_socket(process, [&](int, std::string_view link) {
      if (link.size() > kPrefix.size()) inodes.insert(std::strtoull(link.data() + kPrefix.size(), nullptr, 10));
      return true;
    });
  return inodes;
}

std::set<u64> Sockets::living(Host& host) const {
  std::set<u64> cookies;
  for (const auto& [cookie, socket] : by_cookie_)
    if (socket->told != kTcpClose) cookies.insert(cookie);
  for (pid_t process : host.thread_groups()) {
    Task* const task = host.find_task(process);
    if (!task) continue;
    for_each_socket(process, [&](int fd, std::string_view) {
      const UniqueFd copy(task->share_fd(fd).value_or(-1));
      u64 cookie = 0;
      socklen_t size = sizeof cookie;
      if (copy && ::getsockopt(copy.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0) cookies.insert(cookie);
      return true;
    });
  }
  return cookies;
}

void Sockets::forget(const FollowedSocket& socket) {
  objects_.forget(socket.facts);
  by_cookie_.erase(socket.facts.cookie);
}

SocketFacts Sockets::as_told(const FollowedSocket& socket) {
  SocketFacts facts = socket.facts;
  facts.state = socket.told;
  if (socket.cgroup) facts.cgroup = cgroup_object(space_, *socket.cgroup).address();
  return facts;
}

}  // namespace bpfemu

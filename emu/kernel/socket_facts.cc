// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/socket_facts.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace bpfemu {

namespace {

constexpr u8 kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// What the socket says of itself; 0 where it has no such option.
template <class T = int>
T option(int fd, int level, int name) {
  T value{};
  socklen_t size = sizeof value;
  return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : T{};
}

void internet_facts(int fd, SocketFacts& facts) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0) facts.local = SocketEnd::from(name);
  name = {};
  size = sizeof name;
  facts.peer_known = ::getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0;
  if (facts.peer_known) facts.peer = SocketEnd::from(name);
  facts.freebind = option(fd, IPPROTO_IP, IP_FREEBIND);
  facts.transparent = option(fd, IPPROTO_IP, IP_TRANSPARENT);
  facts.bind_address_no_port = option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
  if (facts.family == AF_INET6) facts.v6_only = option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  if (!facts.is_tcp()) {
    facts.state = facts.peer_known ? kTcpEstablished : kTcpClose;
    return;
  }
  tcp_info info{};
  size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return;
  facts.state = info.tcpi_state;
  facts.tcp = info;
  char algorithm[16] = {};
  size = sizeof algorithm;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, algorithm, &size) == 0)
    facts.congestion.assign(algorithm, ::strnlen(algorithm, sizeof algorithm));
  facts.window_clamp = static_cast<u32>(option(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP));
  // kernel: tcp_get_info tells the backlog of a listener in two other counters.
  if (facts.state != kTcpListen) return;
  facts.ack_backlog = info.tcpi_unacked;
  facts.max_ack_backlog = info.tcpi_sacked;
}

void unix_facts(int fd, SocketFacts& facts) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  facts.peer_known = ::getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0;
  const bool listens = option(fd, SOL_SOCKET, SO_ACCEPTCONN);
  facts.state = listens ? kTcpListen : facts.peer_known ? kTcpEstablished : kTcpClose;
  sockaddr_un own{};
  size = sizeof own;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0) return;
  const size_t head = offsetof(sockaddr_un, sun_path);
  if (size > head) facts.path.assign(own.sun_path, std::min<size_t>(size - head, sizeof own.sun_path));
  if (!facts.path.empty() && facts.path.front() != '\0')
    facts.path.resize(::strnlen(facts.path.data(), facts.path.size()));
}

void* close_descriptor(void* fd) {
  ::close(static_cast<int>(reinterpret_cast<intptr_t>(fd)));
  return nullptr;
}

// False: there may be no more threads.
bool close_elsewhere(int fd) {
  pthread_t thread;
  if (::pthread_create(&thread, nullptr, close_descriptor, reinterpret_cast<void*>(intptr_t{fd})) != 0) return false;
  ::pthread_detach(thread);
  return true;
}

}  // namespace

u32 SocketEnd::ip4() const {
  u32 ip;
  std::memcpy(&ip, address.data() + (is_mapped() ? sizeof kMappedPrefix : 0), sizeof ip);
  return ip;
}

bool SocketEnd::is_mapped() const {
  return std::memcmp(address.data(), kMappedPrefix, sizeof kMappedPrefix) == 0;
}

SocketEnd SocketEnd::from(const sockaddr_storage& name) {
  SocketEnd end;
  if (name.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(name);
    std::memcpy(end.address.data(), &in.sin_addr, sizeof in.sin_addr);
    end.port = ntohs(in.sin_port);
  } else if (name.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(name);
    std::memcpy(end.address.data(), &in.sin6_addr, sizeof in.sin6_addr);
    end.port = ntohs(in.sin6_port);
  }
  return end;
}

bool SocketFacts::is_tcp() const {
  return internet() && type == SOCK_STREAM && protocol == IPPROTO_TCP;
}

u32 SocketFacts::ip4_of(const SocketEnd& end) const {
  constexpr u32 kLoopbackForIp6 = 0x0600007f;  // LOOPBACK4_IPV6
  return only_ip6() ? (end.is_any() ? 0 : kLoopbackForIp6) : end.ip4();
}

bool SocketFacts::reaches_itself(const SocketEnd& end) const {
  constexpr u32 kLoopbackNet = 127;
  if (!end.is_any() && end.address == local.address) return true;
  if (family == AF_INET6 && !end.is_mapped())
    return std::memcmp(end.address.data(), &in6addr_loopback, sizeof in6addr_loopback) == 0;
  return ntohl(end.ip4()) >> 24 == kLoopbackNet;
}

Result<SocketFacts> socket_facts(int fd) {
  SocketFacts facts;
  int family = 0;
  socklen_t size = sizeof family;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) return fail(errno);
  facts.family = static_cast<u16>(family);
  facts.type = static_cast<u16>(option(fd, SOL_SOCKET, SO_TYPE));
  facts.protocol = static_cast<u16>(option(fd, SOL_SOCKET, SO_PROTOCOL));
  facts.cookie = option<u64>(fd, SOL_SOCKET, SO_COOKIE);
  struct stat st;
  if (::fstat(fd, &st) != 0) return fail(errno);
  facts.inode = st.st_ino;
  facts.uid = st.st_uid;
  facts.bound_device = option(fd, SOL_SOCKET, SO_BINDTOIFINDEX);
  facts.reuse_address = option(fd, SOL_SOCKET, SO_REUSEADDR);
  facts.reuse_port = option(fd, SOL_SOCKET, SO_REUSEPORT);
  facts.mark = static_cast<u32>(option(fd, SOL_SOCKET, SO_MARK));
  facts.priority = static_cast<u32>(option(fd, SOL_SOCKET, SO_PRIORITY));
  facts.send_buffer = option(fd, SOL_SOCKET, SO_SNDBUF);
  facts.receive_buffer = option(fd, SOL_SOCKET, SO_RCVBUF);
  facts.file_flags = ::fcntl(fd, F_GETFL);
  const auto how = option<linger>(fd, SOL_SOCKET, SO_LINGER);
  facts.aborts = how.l_onoff && how.l_linger == 0;
  int unread = 0;
  if (facts.type == SOCK_STREAM && ::ioctl(fd, FIONREAD, &unread) == 0) facts.unread = static_cast<u32>(unread);
  if (facts.internet()) internet_facts(fd, facts);
  if (facts.family == AF_UNIX) unix_facts(fd, facts);
  return facts;
}

void close_copied_socket(int fd) {
  const linger how = option<linger>(fd, SOL_SOCKET, SO_LINGER);
  const bool waits = how.l_onoff && how.l_linger > 0;
  if (!waits || !close_elsewhere(fd)) ::close(fd);
}

}  // namespace bpfemu

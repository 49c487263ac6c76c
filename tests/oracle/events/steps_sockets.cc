// SPDX-License-Identifier: Apache-2.0
// Sockets: both ends are this process, one after the other, so that the order of events is known.
#include "tests/oracle/events/steps.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <ctime>

namespace events {
namespace {

constexpr u16 kPort = 17321, kOtherPort = 17322;
char buffer[256];

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Address loopback4(u16 port) {
  Address address;
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  memcpy(&address.storage, &in, address.size = sizeof in);
  return address;
}

Address loopback6(u16 port) {
  Address address;
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  in.sin6_addr = in6addr_loopback;
  memcpy(&address.storage, &in, address.size = sizeof in);
  return address;
}

Address local(const char* path) {
  Address address;
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  strcpy(un.sun_path, path);
  memcpy(&address.storage, &un, address.size = sizeof un.sun_family + static_cast<socklen_t>(strlen(path)) + 1);
  return address;
}

int open_socket(int family, int type) { return static_cast<int>(call(SYS_socket, family, type, 0)); }

void listen_at(int fd, const Address& address) {
  int one = 1;
  call(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  need(call(SYS_bind, fd, &address.storage, address.size) == 0, "an address of the sockets'");
  call(SYS_listen, fd, 5);
}

// The end of the other's stream is acknowledged with one's own end, or after 40 to 200 ms if that comes later: later, then,
// on slow machines and on fast ones. This clock is read without a call, whatever the clock source.
void let_acknowledge() {
  const auto now = [] {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
  };
  for (const long end = now() + 300; now() < end;) {
  }
}

// The server's end closes last, so that no address is held afterwards.
void talk(const Address& address) {
  const int listener = open_socket(address.storage.ss_family, SOCK_STREAM);
  listen_at(listener, address);
  const int client = open_socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC);
  need(call(SYS_connect, client, &address.storage, address.size) == 0, "a connection");
  Address peer;
  peer.size = sizeof peer.storage;
  const int server = static_cast<int>(call(SYS_accept4, listener, &peer.storage, &peer.size, 0));
  call(SYS_sendto, client, "request", 7, 0, 0L, 0);
  call(SYS_recvfrom, server, buffer, sizeof buffer, 0, 0L, 0L);
  call(SYS_write, server, "an answer", 9);
  call(SYS_read, client, buffer, 4);
  call(SYS_read, client, buffer, sizeof buffer);
  iovec part{buffer, 3};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  call(SYS_sendmsg, client, &message, 0);
  call(SYS_recvmsg, server, &message, 0);
  call(SYS_recvfrom, server, buffer, 1, MSG_DONTWAIT, 0L, 0L);
  call(SYS_shutdown, client, SHUT_WR);
  call(SYS_recvfrom, server, buffer, sizeof buffer, 0, 0L, 0L);
  let_acknowledge();
  call(SYS_close, server);
  call(SYS_recvfrom, client, buffer, sizeof buffer, 0, 0L, 0L);
  call(SYS_close, client);
  call(SYS_close, listener);
}

void tcp4() { talk(loopback4(kPort)); }
void tcp6() { talk(loopback6(kPort)); }

void refused(const Address& address) {
  const int fd = open_socket(address.storage.ss_family, SOCK_STREAM);
  call(SYS_connect, fd, &address.storage, address.size);
  call(SYS_sendto, fd, "x", 1, MSG_NOSIGNAL, 0L, 0);
  call(SYS_recvfrom, fd, buffer, 1, 0, 0L, 0L);
  call(SYS_close, fd);
}

void refused4() { refused(loopback4(kOtherPort)); }
void refused6() { refused(loopback6(kOtherPort)); }

void datagrams(const Address& address) {
  const int receiver = open_socket(address.storage.ss_family, SOCK_DGRAM);
  call(SYS_bind, receiver, &address.storage, address.size);
  const int sender = open_socket(address.storage.ss_family, SOCK_DGRAM);
  call(SYS_sendto, sender, "datagram", 8, 0, &address.storage, address.size);
  Address from;
  from.size = sizeof from.storage;
  call(SYS_recvfrom, receiver, buffer, sizeof buffer, 0, &from.storage, &from.size);
  call(SYS_connect, sender, &address.storage, address.size);
  call(SYS_write, sender, "one more", 8);
  call(SYS_read, receiver, buffer, 3);
  call(SYS_recvfrom, receiver, buffer, 1, MSG_DONTWAIT, 0L, 0L);
  call(SYS_close, sender);
  call(SYS_close, receiver);
}

void udp4() { datagrams(loopback4(kPort)); }
void udp6() { datagrams(loopback6(kPort)); }

void local_stream() {
  const Address address = local("socket");
  const int listener = open_socket(AF_UNIX, SOCK_STREAM);
  call(SYS_bind, listener, &address.storage, address.size);
  call(SYS_listen, listener, 1);
  const int client = open_socket(AF_UNIX, SOCK_STREAM);
  call(SYS_connect, client, &address.storage, address.size);
  const int server = static_cast<int>(call(SYS_accept, listener, 0L, 0L));
  call(SYS_write, client, "hello", 5);
  call(SYS_read, server, buffer, 2);
  call(SYS_recvfrom, server, buffer, 10, 0, 0L, 0L);
  call(SYS_close, client);
  call(SYS_recvfrom, server, buffer, 10, 0, 0L, 0L);
  call(SYS_close, server);
  call(SYS_close, listener);
  call(SYS_unlink, "socket");
  const int alone = open_socket(AF_UNIX, SOCK_STREAM);
  call(SYS_connect, alone, &address.storage, address.size);
  call(SYS_close, alone);
}

void pairs() {
  int ends[2];
  call(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, ends);
  call(SYS_sendto, ends[0], "to the other", 12, 0, 0L, 0);
  call(SYS_read, ends[1], buffer, sizeof buffer);
  call(SYS_close, ends[0]);
  call(SYS_close, ends[1]);
  call(SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, ends);
  call(SYS_write, ends[0], "whole", 5);
  call(SYS_recvfrom, ends[1], buffer, 2, 0, 0L, 0L);
  call(SYS_close, ends[0]);
  call(SYS_close, ends[1]);
}

void mistaken() {
  open_socket(99, SOCK_STREAM);
  open_socket(AF_INET, 77);
  const int fd = open_socket(AF_INET, SOCK_STREAM);
  call(SYS_accept, fd, 0L, 0L);
  call(SYS_listen, 77, 1);
  call(SYS_shutdown, fd, SHUT_RDWR);
  call(SYS_bind, 77, 0L, 0);
  const Address address = loopback4(kPort);
  call(SYS_bind, fd, &address.storage, 3);
  call(SYS_connect, fd, &address.storage, 8);
  call(SYS_close, fd);
}

constexpr Step kSteps[] = {
    {"tcp4", tcp4}, {"tcp6", tcp6}, {"refused4", refused4}, {"refused6", refused6}, {"udp4", udp4}, {"udp6", udp6},
    {"local stream", local_stream}, {"pairs", pairs}, {"mistaken", mistaken},
};

}  // namespace

std::span<const Step> socket_steps() { return kSteps; }

}  // namespace events

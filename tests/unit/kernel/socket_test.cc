// SPDX-License-Identifier: Apache-2.0
// Against real sockets on loopback: what the host says of them, and what stands in the objects made of it.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "emu/base/bytes.h"
#include "emu/base/fd.h"
#include "emu/kernel/kernel_data.h"
#include "emu/kernel/socket_diag.h"
#include "emu/kernel/socket_objects.h"

namespace bpfemu {
namespace {

struct Name {
  explicit Name(int family) {
    address.ss_family = static_cast<sa_family_t>(family);
    if (family == AF_INET) reinterpret_cast<sockaddr_in&>(address).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (family == AF_INET6) reinterpret_cast<sockaddr_in6&>(address).sin6_addr = in6addr_loopback;
  }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&address); }
  sockaddr_storage address{};
  socklen_t size = sizeof address;
};

// A listener and a connection to it.
struct Connection {
  explicit Connection(int family)
      : listener(::socket(family, SOCK_STREAM, 0)), client(::socket(family, SOCK_STREAM, 0)) {
    Name name(family);
    REQUIRE(::bind(listener.get(), name.get(), name.size) == 0);
    REQUIRE(::listen(listener.get(), 7) == 0);
    REQUIRE(::getsockname(listener.get(), name.get(), &name.size) == 0);
    REQUIRE(::connect(client.get(), name.get(), name.size) == 0);
    port = SocketEnd::from(name.address).port;
  }
  UniqueFd listener, client;
  u16 port = 0;
};

struct Fixture {
  std::unique_ptr<Arena> arena = Arena::create(2).value();
  KernelData kernel{default_profile()};
  ObjectSpace space{*arena, kernel.btf().value()};
  const Symbols* symbols = &kernel.symbols();
  SocketObjects objects{space, symbols};
};

template <class T>
T get(const KernelObject& object, std::string_view path) {
  REQUIRE(object.address(path) != 0);
  return load<T>(reinterpret_cast<void*>(object.address(path)));
}

u64 inode(int fd) {
  struct stat st;
  REQUIRE(::fstat(fd, &st) == 0);
  return st.st_ino;
}

TEST_CASE("the facts of a TCP socket are those that its descriptor tells") {
  const int family = GENERATE(AF_INET, AF_INET6);
  Connection tcp(family);
  const SocketFacts listener = socket_facts(tcp.listener.get()).value();
  CHECK(listener.family == family);
  CHECK(listener.state == kTcpListen);
  CHECK(listener.local.port == tcp.port);
  CHECK(listener.ack_backlog == 1);
  CHECK(listener.max_ack_backlog == 7);
  CHECK_FALSE(listener.peer_known);
  CHECK(listener.inode == inode(tcp.listener.get()));

  const SocketFacts client = socket_facts(tcp.client.get()).value();
  CHECK(client.is_tcp());
  CHECK(client.state == kTcpEstablished);
  CHECK(client.peer_known);
  CHECK(client.peer == listener.local);
  CHECK(client.cookie != 0);
  CHECK(client.cookie != listener.cookie);
  CHECK(client.uid == ::getuid());
  CHECK(client.tcp.has_value());
  CHECK_FALSE(client.congestion.empty());
  CHECK(socket_facts(tcp.client.get()).value().cookie == client.cookie);
}

TEST_CASE("what is set on a socket is told, and asking changes nothing") {
  UniqueFd fd(::socket(AF_INET6, SOCK_STREAM, 0));
  const int one = 1, device = 1;
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
  REQUIRE(::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0);
  REQUIRE(::setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) == 0);
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTOIFINDEX, &device, sizeof device) == 0);
  SocketFacts facts = socket_facts(fd.get()).value();
  CHECK(facts.reuse_address);
  CHECK_FALSE(facts.reuse_port);
  CHECK(facts.v6_only);
  CHECK(facts.bind_address_no_port);
  CHECK(facts.bound_device == 1);
  CHECK(facts.state == kTcpClose);
  CHECK(facts.local.port == 0);

  // A refused connection leaves an error for whoever asks first: not for us.
  UniqueFd refused(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  Name name(AF_INET);
  {
    Connection gone(AF_INET);
    reinterpret_cast<sockaddr_in&>(name.address).sin_port = htons(gone.port);
  }
  CHECK(::connect(refused.get(), name.get(), sizeof(sockaddr_in)) != 0);
  CHECK(socket_facts(refused.get()).value().state == kTcpClose);
  int error = 0;
  socklen_t size = sizeof error;
  REQUIRE(::getsockopt(refused.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0);
  CHECK(error == ECONNREFUSED);
}

TEST_CASE("other sockets, and what is none") {
  UniqueFd udp(::socket(AF_INET, SOCK_DGRAM, 0));
  Name name(AF_INET);
  REQUIRE(::bind(udp.get(), name.get(), sizeof(sockaddr_in)) == 0);
  SocketFacts facts = socket_facts(udp.get()).value();
  CHECK(facts.protocol == IPPROTO_UDP);
  CHECK(facts.state == kTcpClose);
  CHECK_FALSE(facts.is_tcp());
  REQUIRE(::getsockname(udp.get(), name.get(), &name.size) == 0);
  REQUIRE(::connect(udp.get(), name.get(), name.size) == 0);
  CHECK(socket_facts(udp.get()).value().state == kTcpEstablished);

  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  UniqueFd one(pair[0]), other(pair[1]);
  facts = socket_facts(one.get()).value();
  CHECK(facts.family == AF_UNIX);
  CHECK(facts.state == kTcpEstablished);
  CHECK(facts.path.empty());
  UniqueFd named(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un own{AF_UNIX, "\0bpfemu-socket-test"};
  REQUIRE(::bind(named.get(), reinterpret_cast<sockaddr*>(&own), offsetof(sockaddr_un, sun_path) + 19) == 0);
  REQUIRE(::listen(named.get(), 1) == 0);
  facts = socket_facts(named.get()).value();
  CHECK(facts.state == kTcpListen);
  CHECK(facts.path == std::string("\0bpfemu-socket-test", 19));

  UniqueFd file(::open("/dev/null", O_RDONLY));
  CHECK(socket_facts(file.get()).error().value == ENOTSOCK);
  CHECK(socket_facts(-1).error().value == EBADF);
}

TEST_CASE("the kernel tells of sockets that nobody here has a descriptor of") {
  const u16 family = GENERATE(u16{AF_INET}, u16{AF_INET6});
  Connection tcp(family);
  SocketDiag diag;
  const SocketFacts client = socket_facts(tcp.client.get()).value(),
                    listener = socket_facts(tcp.listener.get()).value();
  const SocketFacts waiting = diag.connected(family, client.peer, client.local).value();
  CHECK(waiting.state == kTcpEstablished);
  CHECK(waiting.inode == 0);
  CHECK(waiting.peer == client.local);
  CHECK(waiting.tcp.has_value());
  CHECK(diag.listener(family, client.peer).value().cookie == listener.cookie);
  CHECK(diag.listener(family, client.peer).value().max_ack_backlog == 7);
  CHECK(diag.connected(family, client.peer, client.peer).error().value == ENOENT);
  CHECK(diag.listener(family, client.local).error().value == ENOENT);

  UniqueFd accepted(::accept(tcp.listener.get(), nullptr, nullptr));
  CHECK(socket_facts(accepted.get()).value().cookie == waiting.cookie);
  CHECK(diag.connected(family, client.peer, client.local).value().inode == inode(accepted.get()));

  // Closed first: the client's end stays for a while, without a descriptor.
  tcp.client.reset();
  CHECK(diag.connected(family, client.peer, client.local).value().state == kTcpCloseWait);
  accepted.reset();
  const SocketFacts rest = diag.connected(family, client.local, client.peer).value();
  CHECK(rest.state == kTcpTimeWait);
  CHECK(rest.inode == 0);
}

TEST_CASE_METHOD(Fixture, "a socket's objects lead to each other and hold what the host says") {
  Connection tcp(AF_INET);
  SocketFacts facts = socket_facts(tcp.client.get()).value();
  facts.netns = 4026531840;
  const KernelObject socket = objects.socket(facts), sock = objects.sock(facts);
  REQUIRE(socket);
  CHECK(get<u64>(socket, "sk") == sock.address());
  CHECK(get<u64>(sock, "sk_socket") == socket.address());
  CHECK(get<u32>(socket, "state") == 3);
  CHECK(get<s16>(socket, "type") == SOCK_STREAM);
  CHECK(get<u64>(socket, "ops") == symbols->address("inet_stream_ops"));
  CHECK(get<u64>(sock, "__sk_common.skc_prot") == symbols->address("tcp_prot"));
  CHECK(get<u16>(sock, "__sk_common.skc_family") == AF_INET);
  CHECK(get<u8>(sock, "__sk_common.skc_state") == kTcpEstablished);
  CHECK(get<u32>(sock, "__sk_common.skc_daddr") == htonl(INADDR_LOOPBACK));
  CHECK(get<u16>(sock, "__sk_common.skc_dport") == htons(tcp.port));
  CHECK(get<u16>(sock, "__sk_common.skc_num") == facts.local.port);
  const KernelObject net(get<u64>(sock, "__sk_common.skc_net"), space.structure("net"));
  CHECK(get<u32>(net, "ns.inum") == 4026531840);
  const KernelObject inet = objects.view(sock, "inet_sock"), counters = objects.view(sock, "tcp_sock");
  CHECK(get<u16>(inet, "inet_sport") == htons(facts.local.port));
  CHECK(get<u32>(counters, "srtt_us") >> 3 == facts.tcp->tcpi_rtt);
  CHECK(get<u32>(counters, "snd_cwnd") == facts.tcp->tcpi_snd_cwnd);

  REQUIRE(::send(tcp.client.get(), "hello", 5, 0) == 5);
  const SocketFacts later = socket_facts(tcp.client.get()).value();
  CHECK(objects.sock(later).address() == sock.address());
  CHECK(get<u64>(counters, "bytes_acked") == later.tcp->tcpi_bytes_acked);
  CHECK(get<u64>(counters, "bytes_sent") == 5);

  // The connection goes on without its socket.
  objects.orphan(later);
  CHECK(get<u64>(sock, "sk_socket") == 0);
  CHECK(objects.sock(later).address() == sock.address());
}

TEST_CASE_METHOD(Fixture, "IPv6 sockets have both forms of their addresses, and a peer that is gone stays") {
  Connection tcp(AF_INET6);
  SocketFacts facts = socket_facts(tcp.client.get()).value();
  const KernelObject sock = objects.sock(facts);
  const KernelObject whole(sock.address(), space.structure("tcp6_sock"));
  CHECK(get<u64>(objects.view(sock, "inet_sock"), "pinet6") == whole.address("inet6"));
  CHECK(std::memcmp(reinterpret_cast<void*>(sock.address("__sk_common.skc_v6_daddr")), &in6addr_loopback, 16) == 0);
  CHECK(get<u32>(sock, "__sk_common.skc_daddr") == htonl(0x7f000006));
  CHECK(get<u64>(sock, "__sk_common.skc_prot") == symbols->address("tcpv6_prot"));

  facts.peer_known = false;
  facts.peer = {};
  facts.state = kTcpClose;
  objects.sock(facts);
  CHECK(get<u16>(sock, "__sk_common.skc_dport") == htons(tcp.port));
  CHECK(get<u8>(sock, "__sk_common.skc_state") == kTcpClose);
}

}  // namespace
}  // namespace bpfemu

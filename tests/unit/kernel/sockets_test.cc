// SPDX-License-Identifier: Apache-2.0
// The sockets of a task as the model follows them, against real ones on loopback.
#include "emu/kernel/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "emu/base/bytes.h"
#include "emu/kernel/kernel_data.h"
#include "tests/fakes/ports.h"

namespace bpfemu {
namespace {

struct Fixture {
  Fixture() {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&name), size) == 0);
    REQUIRE(::listen(listener.get(), 7) == 0);
    REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name), &size) == 0);
    REQUIRE(::connect(client.get(), reinterpret_cast<sockaddr*>(&name), size) == 0);
    std::memcpy(&address, &name, sizeof name);
  }
  std::unique_ptr<Arena> arena = Arena::create(2).value();
  KernelData kernel{default_profile()};
  ObjectSpace space{*arena, kernel.btf().value()};
  Sockets sockets{space, &kernel.symbols()};
  fakes::FakeTask task{::getpid(), ::getpid()};
  UniqueFd listener{::socket(AF_INET, SOCK_STREAM, 0)}, client{::socket(AF_INET, SOCK_STREAM, 0)};
  sockaddr_storage address{};
};

TEST_CASE_METHOD(Fixture, "a socket is one, whichever way it is found") {
  const SocketRef end = sockets.behind(task, client.get());
  REQUIRE(end);
  CHECK(end->told == kTcpEstablished);
  CHECK(end->facts.netns != 0);
  const UniqueFd copy(::dup(client.get()));
  CHECK(sockets.behind(task, copy.get()) == end);
  CHECK(sockets.connected(task, AF_INET, end->facts.local, end->facts.peer) == end);

  const SocketRef other = sockets.peer_of(task, *end);
  REQUIRE(other);
  CHECK(other->facts.inode == 0);
  CHECK(other->facts.peer == end->facts.local);
  const SocketRef from = sockets.listener(task, AF_INET, end->facts.peer);
  REQUIRE(from);
  CHECK(from == sockets.behind(task, listener.get()));
  CHECK(from->facts.ack_backlog == 1);
  CHECK(sockets.waiting_at(*from) == std::vector<SocketRef>{other});
  const UniqueFd accepted(::accept(listener.get(), nullptr, nullptr));
  CHECK(sockets.behind(task, accepted.get()) == other);
  CHECK(sockets.waiting_at(*from).empty());
  CHECK(sockets.peer_of(task, *other) == end);
  CHECK(sockets.sock(*other).address() != sockets.sock(*end).address());

  const UniqueFd file(::open("/dev/null", O_RDONLY));
  CHECK_FALSE(sockets.behind(task, file.get()));
  CHECK_FALSE(sockets.behind(task, -1));
}

TEST_CASE_METHOD(Fixture, "what became of a socket is known without a descriptor") {
  UniqueFd accepted(::accept(listener.get(), nullptr, nullptr));
  const SocketRef end = sockets.behind(task, client.get()), other = sockets.behind(task, accepted.get());
  CHECK(Sockets::held_by({::getpid()}, *end));
  UniqueFd copy(::dup(client.get()));
  client.reset();
  CHECK(Sockets::held_by({::getpid()}, *end));
  CHECK(sockets.look_again(&task, *end).inode == end->facts.inode);
  copy.reset();
  CHECK_FALSE(Sockets::held_by({::getpid()}, *end));
  const SocketFacts orphan = sockets.look_again(nullptr, *end);
  CHECK(orphan.inode == 0);
  CHECK((orphan.state == kTcpFinWait1 || orphan.state == kTcpFinWait2));
  CHECK(orphan.cookie == end->facts.cookie);
  CHECK(sockets.look_again(&task, *other).state == kTcpCloseWait);
  accepted.reset();
  CHECK(sockets.look_again(&task, *end).state == kTcpTimeWait);
  CHECK(sockets.look_again(&task, *other).state == kTcpClose);
  // What programs know is another matter.
  CHECK(end->told == kTcpEstablished);
}

TEST_CASE_METHOD(Fixture, "segments and bytes are told once") {
  const UniqueFd accepted(::accept(listener.get(), nullptr, nullptr));
  const SocketRef end = sockets.behind(task, client.get()), other = sockets.behind(task, accepted.get());
  CHECK(end->take_segments() == 0);
  CHECK(end->take_sent() == 0);
  CHECK(other->take_segments() == 0);
  REQUIRE(::send(client.get(), "hello", 5, 0) == 5);
  (void)sockets.behind(task, client.get());
  (void)sockets.behind(task, accepted.get());
  CHECK(end->take_sent() == 5);
  CHECK(end->take_sent() == 0);
  CHECK(other->take_segments() == 1);
  CHECK(other->take_segments() == 0);
  CHECK(other->facts.unread == 5);
}

TEST_CASE_METHOD(Fixture, "an address to come from is found as the kernel finds it") {
  const SocketEnd source = sockets.source_for(task, address, sizeof(sockaddr_in));
  CHECK(source.ip4() == htonl(INADDR_LOOPBACK));
  CHECK(source.port == 0);
  CHECK(Sockets::most_waiting() > 0);
  const std::vector<SocketRef> all = sockets.of_process(task);
  CHECK(std::ranges::find(all, sockets.behind(task, client.get())) != all.end());
}

}  // namespace
}  // namespace bpfemu

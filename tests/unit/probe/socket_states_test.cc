// SPDX-License-Identifier: Apache-2.0
// States of connections that nobody's call leads to: they are told one by one, and never in an order that TCP does not know.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include "emu/hook/sleepers.h"
#include "emu/hook/socket_watch.h"
#include "emu/hook/tcp.h"
#include "emu/hook/thread_words.h"
#include "tests/unit/probe/world.h"

namespace bpfemu {
namespace {

// Listens to states, and to nothing else.
struct StateSink : HookSink {
  bool awaited(Hook hook, Side side) const override {
    return listens && hook == Hook::trace_inet_sock_set_state && side == Side::kEntry;
  }
  Arguments::Mask looked_at(Hook) const override { return ~Arguments::Mask{0}; }
  u64 listeners() const override { return 0; }
  void passed(Hook, Side, const Event& event) override {
    seen += fmt::format("{}>{} ", (*event.arguments)[1], (*event.arguments)[2]);
    idle = event.task == nullptr;
  }
  u64 asked(Hook, Side, const Event&) override { return 0; }
  std::string take() { return std::exchange(seen, {}); }
  std::string seen;
  bool listens = true, idle = false;
};

struct Fixture : World {
  StateSink sink;
  OccasionMemory memory{arena};
  Sockets sockets{objects, &kernel.symbols()};
  SocketWatch watch{sink, services};
  Sleepers sleepers;
  ThreadWords words;
  HookServices services{.host = host,
                        .unmodelled = unmodelled,
                        .kernel = kernel,
                        .objects = objects,
                        .mounts = mounts,
                        .files = files,
                        .memory = memory,
                        .sockets = sockets,
                        .socket_watch = watch,
                        .sleepers = sleepers,
                        .thread_words = words,
                        .socket_ops = nullptr,
                        .task_struct = [](pid_t) { return u64{0}; },
                        .task_struct_of = [](const TaskFacts&) { return u64{0}; },
                        .show_name = [](pid_t, const std::optional<std::string>&) {}};

  std::string caught_up(u8 told, u8 seen, bool closed) {
    Occasion occasion(sink, services, Event{});
    FollowedSocket socket;
    socket.facts.family = AF_INET;
    socket.facts.type = SOCK_STREAM;
    socket.facts.protocol = IPPROTO_TCP;
    socket.facts.cookie = 77;
    socket.told = told;
    socket.closed = closed;
    Tcp(occasion).catch_up(socket, seen);
    return sink.take();
  }
};

TEST_CASE_METHOD(Fixture, "a connection comes from one state to another by what arrives") {
  CHECK(caught_up(kTcpSynSent, kTcpEstablished, false) == "2>1 ");
  CHECK(caught_up(kTcpSynSent, kTcpCloseWait, false) == "2>1 1>8 ");
  CHECK(caught_up(kTcpSynSent, kTcpClose, false) == "2>7 ");
  CHECK(caught_up(kTcpEstablished, kTcpCloseWait, false) == "1>8 ");
  CHECK(caught_up(kTcpEstablished, kTcpClose, false) == "1>7 ");
  CHECK(caught_up(kTcpEstablished, kTcpTimeWait, true) == "1>4 4>5 5>7 ");
  CHECK(caught_up(kTcpCloseWait, kTcpClose, false) == "8>7 ");
  CHECK(caught_up(kTcpFinWait1, kTcpFinWait2, false) == "4>5 ");
  CHECK(caught_up(kTcpFinWait1, kTcpClosing, false) == "4>11 ");
  CHECK(caught_up(kTcpFinWait1, kTcpTimeWait, false) == "4>5 5>7 ");
  CHECK(caught_up(kTcpFinWait1, kTcpClose, true) == "4>7 ");
  CHECK(caught_up(kTcpClosing, kTcpTimeWait, true) == "11>7 ");
  CHECK(caught_up(kTcpLastAck, kTcpClose, true) == "9>7 ");
  CHECK(caught_up(kTcpLastAck, kTcpTimeWait, true) == "9>7 ");
  // Without a process it only waits for its time to run out.
  CHECK(caught_up(kTcpFinWait1, kTcpFinWait2, true) == "4>5 5>7 ");
  // What is closed stays closed, whatever its call has already made of it.
  CHECK(caught_up(kTcpClose, kTcpEstablished, false).empty());
  CHECK(caught_up(kTcpEstablished, kTcpEstablished, false).empty());
}

TEST_CASE_METHOD(Fixture, "what happens between calls is told for the idle task, as long as somebody listens") {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0)), client(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&name), size) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name), &size) == 0);
  REQUIRE(::connect(client.get(), reinterpret_cast<sockaddr*>(&name), size) == 0);
  UniqueFd accepted(::accept(listener.get(), nullptr, nullptr));
  const SocketRef end = sockets.behind(task, client.get());
  REQUIRE(end);
  REQUIRE(sockets.peer_of(task, *end));  // its network can be asked without a task from now on
  constexpr u64 kLong = 100'000'000;
  watch.begin();
  host.advance(kLong);
  CHECK(sink.take().empty());
  accepted.reset();
  {
    const SocketInUse call(end);
    host.advance(kLong);
    const std::string seen = sink.take();  // of the other end; this one's call will tell
    CHECK(seen.starts_with("1>4 "));
    CHECK(seen.find("1>8 ") == seen.npos);
  }
  host.advance(kLong);
  CHECK(sink.take().find("1>8 ") != std::string::npos);
  CHECK(sink.idle);
  sink.listens = false;
  host.advance(kLong);
  client.reset();
  sink.listens = true;
  host.advance(kLong);
  CHECK(sink.take().empty());
}

}  // namespace
}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/files.h"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/fakes/bell_file.h"
#include "tests/unit/syscalls/fixture.h"

using namespace bpfemu;

namespace {

bool readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

}  // namespace

TEST_CASE("a carrier is found by whatever descriptor names it, until the last is closed") {
  auto& k = test::kernel();
  bool gone = false;
  auto bell = std::make_shared<fakes::BellFile>(gone);
  File* raw = bell.get();
  int fd = k.system->files.install(k.task, std::move(bell), true).value();
  int copy = dup(fd);
  CHECK(k.system->files.find(k.task, fd)->get() == raw);
  CHECK(k.system->files.find(k.task, copy)->get() == raw);
  close(fd);
  k.system->files.reap();
  CHECK(!gone);
  close(copy);
  pollfd reap{k.system->files.reap_fd(), POLLIN, 0};
  CHECK(poll(&reap, 1, 0) == 1);
  k.system->files.reap();
  CHECK(gone);
  CHECK(k.system->files.find(k.task, copy).error().value == EBADF);
}

TEST_CASE("signals make carriers readable, settling takes back what is consumed") {
  auto& k = test::kernel();
  auto& files = k.system->files;
  bool gone = false;
  auto bell = std::make_shared<fakes::BellFile>(gone);
  int fd = files.install(k.task, bell, true).value();
  CHECK(!readable(fd));
  bell->rings = true;
  files.wake(bell.get());
  CHECK(readable(fd));
  files.settle();
  CHECK(readable(fd));
  bell->rings = false;
  files.settle();
  CHECK(!readable(fd));
  close(fd);
  bell.reset();
  files.reap();
  CHECK(gone);
}

TEST_CASE("every signal is an edge") {
  auto& k = test::kernel();
  bool gone = false;
  auto bell = std::make_shared<fakes::BellFile>(gone);
  int fd = k.system->files.install(k.task, bell, true).value();
  int epoll = epoll_create1(0);
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.fd = fd}};
  REQUIRE(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
  for (int i = 0; i < 10000; ++i) {
    k.system->files.signal(*bell);
    REQUIRE(epoll_wait(epoll, &event, 1, 0) == 1);
    REQUIRE(epoll_wait(epoll, &event, 1, 0) == 0);
  }
  close(epoll);
  close(fd);
  k.system->files.reap();
}

TEST_CASE("a descriptor that is not ours is nobody's") {
  auto& k = test::kernel();
  auto found = k.system->files.find(k.task, 0);
  REQUIRE(found);
  CHECK(*found == nullptr);
  CHECK(k.system->files.find(k.task, 9999).error().value == EBADF);
}

// SPDX-License-Identifier: Apache-2.0
#include "loader/fiber.h"

#include <catch2/catch.hpp>
#include <string>

using namespace bpfemu;

TEST_CASE("a fiber goes on where it paused") {
  std::string order;
  const std::unique_ptr<Fiber> fiber = Fiber::make();
  REQUIRE(fiber);
  fiber->begin([&] {
    std::string own = "a";
    order += own;
    fiber->pause();
    order += own + "b";
    fiber->pause();
    order += "c";
  });
  fiber->resume();
  order += "1";
  CHECK(!fiber->done());
  fiber->resume();
  order += "2";
  fiber->resume();
  CHECK(fiber->done());
  CHECK(order == "a1ab2c");
  fiber->begin([&] { order += "again"; });
  fiber->resume();
  CHECK(fiber->done());
  CHECK(order == "a1ab2cagain");
}

TEST_CASE("fibers take turns, and one that never began may go") {
  std::string order;
  std::unique_ptr<Fiber> fibers[3];
  for (int i = 0; i < 3; ++i) {
    fibers[i] = Fiber::make();
    fibers[i]->begin([&order, &fibers, i] {
      for (int turn = 0; turn < 100; ++turn) {
        order += static_cast<char>('0' + i);
        fibers[i]->pause();
      }
    });
  }
  for (int turn = 0; turn < 101; ++turn)
    for (int i = 0; i < 2; ++i) fibers[i]->resume();
  CHECK(fibers[0]->done());
  CHECK(fibers[1]->done());
  CHECK(!fibers[2]->done());
  CHECK(order.size() == 200);
  CHECK(order.substr(0, 6) == "010101");
}

// SPDX-License-Identifier: Apache-2.0
#include "loader/proc_files.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

using namespace bpfemu;

TEST_CASE("a zombie and who is gone are dead") {
  CHECK(!is_dead(::getpid()));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info;
  REQUIRE(::waitid(P_PID, child, &info, WEXITED | WNOWAIT) == 0);
  CHECK(is_dead(child));
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(is_dead(child));
}

TEST_CASE("without a descriptor to look at it, nobody is dead") {
  rlimit old;
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &old) == 0);
  const rlimit none{0, old.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const Result<char> state = read_state(::getpid());
  const bool dead = is_dead(::getpid());
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &old) == 0);
  CHECK(state.error().value == EMFILE);
  CHECK(!dead);
}

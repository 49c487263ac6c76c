// SPDX-License-Identifier: Apache-2.0
#include "loader/clone_args.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <signal.h>

using namespace bpfemu;

namespace {

std::vector<u8> bytes_of(const clone_args& args, size_t size = sizeof(clone_args)) {
  std::vector<u8> bytes(size);
  std::memcpy(bytes.data(), &args, std::min(size, sizeof args));
  return bytes;
}

}  // namespace

TEST_CASE("clone3 becomes clone where that can say the same") {
  clone_args thread = {};
  thread.flags = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_UNTRACED;
  thread.parent_tid = 1, thread.child_tid = 2, thread.tls = 3, thread.stack = 0x1000, thread.stack_size = 0x200;
  CHECK(as_clone(bytes_of(thread)) ==
        std::array<u64, 6>{thread.flags & ~u64{CLONE_UNTRACED}, 0x1200, 1, 2, 3, 0});
  clone_args process = {};
  process.exit_signal = SIGCHLD, process.flags = CLONE_PIDFD, process.pidfd = 7;
  CHECK(as_clone(bytes_of(process)) == std::array<u64, 6>{CLONE_PIDFD | SIGCHLD, 0, 7, 0, 0, 0});
  CHECK(as_clone(bytes_of(process, 64)));
  CHECK(as_clone(bytes_of(process, 4096)));
}

TEST_CASE("what the kernel has something to say against, and what clone cannot say, stays") {
  const auto stays = [](auto change, size_t size = sizeof(clone_args)) {
    clone_args args = {};
    args.exit_signal = SIGCHLD;
    change(args);
    return !as_clone(bytes_of(args, size));
  };
  CHECK(stays([](clone_args& a) { a.flags = CLONE_CLEAR_SIGHAND; }));
  CHECK(stays([](clone_args& a) { a.flags = CLONE_INTO_CGROUP; }));
  CHECK(stays([](clone_args& a) { a.flags = CLONE_NEWTIME; }));
  CHECK(stays([](clone_args& a) { a.flags = CLONE_DETACHED; }));
  CHECK(stays([](clone_args& a) { a.flags = CLONE_PIDFD | CLONE_PARENT_SETTID; }));
  CHECK(stays([](clone_args& a) { a.flags = CLONE_PARENT; }));
  CHECK(stays([](clone_args& a) { a.exit_signal = 65; }));
  CHECK(stays([](clone_args& a) { a.stack = 4096; }));
  CHECK(stays([](clone_args& a) { a.stack_size = 4096; }));
  CHECK(stays([](clone_args& a) { a.set_tid_size = 1; }));
  CHECK(stays([](clone_args&) {}, 63));
  std::vector<u8> longer = bytes_of({}, 100);
  longer[99] = 1;
  CHECK_FALSE(as_clone(longer));
}

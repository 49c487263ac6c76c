// SPDX-License-Identifier: Apache-2.0
// The gate before a program's own filter.
#include "loader/own_filter.h"

#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <catch2/catch.hpp>

#include "tests/unit/loader/classic_bpf.h"

using namespace bpfemu;

namespace {

constexpr Secret kSecret = {0x5122334455667788, 0x99aabbccddeeff00};
const std::vector<sock_filter> kKillAll = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};

u32 verdict(const std::vector<sock_filter>& filter, long number, const std::array<u64, 6>& args) {
  seccomp_data data = {};
  data.nr = static_cast<int>(number);
  std::copy(args.begin(), args.end(), data.args);
  return run(behind_gate(filter, kSecret), data).action;
}

}  // namespace

TEST_CASE("marked calls pass, all others meet the program's filter") {
  const std::array<u64, 6> args = {1, 2, 3, 4, ~u64{0}, 0};
  for (long number :
       {SYS_getpid, SYS_seccomp, SYS_rt_sigaction, SYS_openat, SYS_close, SYS_munmap, SYS_fstat, SYS_mmap}) {
    CHECK(verdict(kKillAll, number, marked(number, args, kSecret)) == SECCOMP_RET_ALLOW);
    CHECK(verdict(kKillAll, number, args) == SECCOMP_RET_KILL_PROCESS);
    for (int bit = 0; bit < 128; ++bit) {
      auto nearly = marked(number, args, kSecret);
      if (number == SYS_mmap && (bit < 32 || bit >= 64)) continue;  // the low word is the descriptor
      nearly[4 + bit / 64] ^= u64{1} << bit % 64;
      CHECK(verdict(kKillAll, number, nearly) == SECCOMP_RET_KILL_PROCESS);
    }
  }
  CHECK(marked(SYS_setsockopt, args, kSecret) == args);  // minds all of them
  CHECK(verdict(kKillAll, SYS_execve, marked(SYS_execve, args, kSecret)) == SECCOMP_RET_KILL_PROCESS);
}

TEST_CASE("mmap keeps its descriptor and offset") {
  const auto args = marked(SYS_mmap, {0, 4096, PROT_READ, MAP_SHARED, 7, 8192}, kSecret);
  CHECK(static_cast<u32>(args[4]) == 7);
  CHECK(args[5] == 8192);
}

TEST_CASE("the program's filter means what it meant") {
  // What it leaves in the accumulator before loading anything is 0.
  CHECK(verdict({BPF_STMT(BPF_RET | BPF_A, 0)}, SYS_read, {}) == 0);
  CHECK(verdict({BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 5)}, SYS_read, {}) == (SECCOMP_RET_ERRNO | ENOSYS));
  CHECK(verdict({BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 5)}, SYS_read, {}) == (SECCOMP_RET_ERRNO | 5));
  CHECK(behind_gate(std::vector<sock_filter>(BPF_MAXINSNS, kKillAll[0]), kSecret).empty());
  CHECK(behind_gate(std::vector<sock_filter>(4000, kKillAll[0]), kSecret).size() <= BPF_MAXINSNS);
}

TEST_CASE("which calls install filters") {
  CHECK(!seccomp_request(SYS_prctl, {PR_SET_NAME}));
  CHECK(!seccomp_request(SYS_seccomp, {SECCOMP_GET_ACTION_AVAIL}));
  CHECK(!seccomp_request(SYS_read, {PR_SET_SECCOMP}));
  CHECK(seccomp_request(SYS_prctl, {PR_SET_SECCOMP, SECCOMP_MODE_STRICT})->strict);
  CHECK(!seccomp_request(SYS_prctl, {PR_SET_SECCOMP, SECCOMP_MODE_FILTER})->strict);
  CHECK(seccomp_request(SYS_seccomp, {SECCOMP_SET_MODE_STRICT})->strict);
  CHECK(seccomp_request(SYS_seccomp, {SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER})->listener);
  CHECK(!seccomp_request(SYS_seccomp, {SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC})->listener);
}

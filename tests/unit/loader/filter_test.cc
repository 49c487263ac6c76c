// SPDX-License-Identifier: Apache-2.0
// The generated filters, run by a small interpreter of classic BPF.
#include "loader/filter.h"

#include <linux/audit.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <catch2/catch.hpp>

#include "loader/stub_area.h"
#include "tests/unit/loader/classic_bpf.h"

using namespace bpfemu;

namespace {

u32 verdict(const FilterSpec& spec, long number, std::array<u64, 6> args = {}, u32 arch = AUDIT_ARCH_X86_64) {
  seccomp_data data = {};
  data.nr = static_cast<int>(number);
  data.arch = arch;
  std::copy(args.begin(), args.end(), data.args);
  return run(build_filter(spec), data).action;
}

FilterSpec base_of(std::initializer_list<long> numbers) {
  FilterSpec spec;
  spec.base = true;
  for (long number : numbers) spec.trace.set(number);
  return spec;
}


}  // namespace

TEST_CASE("every call gets what the set says") {
  FilterSpec spec;
  for (size_t number = 0; number < kSyscallLimit; number += 3) spec.trace.set(number);
  for (size_t number = 1; number < kSyscallLimit; number += 30) spec.trap.set(number);
  for (size_t number = 0; number < kSyscallLimit + 10; ++number) {
    const size_t place = place_of_call(static_cast<long>(number));
    const u32 expected = spec.trace[place]  ? u32{SECCOMP_RET_TRACE}
                         : spec.trap[place] ? SECCOMP_RET_TRAP | kTrapTag
                                            : u32{SECCOMP_RET_ALLOW};
    CHECK(verdict(spec, static_cast<long>(number)) == expected);
  }
}

TEST_CASE("calls with a path do not stop where a process has decided") {
  FilterSpec spec = base_of({SYS_openat, SYS_mkdir});
  const auto at = [&](long number, u64 address) {
    seccomp_data data = {};
    data.nr = static_cast<int>(number);
    data.arch = AUDIT_ARCH_X86_64;
    data.instruction_pointer = address;
    return run(build_filter(spec), data).action;
  };
  CHECK(at(SYS_openat, kStubArea + 100) == SECCOMP_RET_TRACE);
  spec.decided = true;
  for (const u64 address : {kStubArea + 2, kStubArea + kStubAreaSize}) CHECK(at(SYS_openat, address) == SECCOMP_RET_ALLOW);
  for (const u64 address : {u64{0}, u64{0x7fff00000100}, kStubArea - 1, kStubArea + kStubAreaSize + 1, kStubArea + (u64{1} << 32) + 2})
    CHECK(at(SYS_openat, address) == SECCOMP_RET_TRACE);
  CHECK(at(SYS_mkdir, kStubArea + 2) == SECCOMP_RET_TRACE);
  CHECK(at(SYS_getpid, 0) == SECCOMP_RET_ALLOW);
  // What the image asks of the kernel does not, in whatever filter.
  for (const bool base : {true, false}) {
    spec.base = spec.decided = base;
    spec.trace.set(SYS_fstat);
    CHECK(at(SYS_fstat, kInsideImage + 100) == SECCOMP_RET_ALLOW);
    // The base filter alone says what stubs may do; in others they have told who listens.
    CHECK(at(SYS_fstat, kStubArea + 100) == (base ? SECCOMP_RET_TRACE : SECCOMP_RET_ALLOW));
    CHECK(at(SYS_fstat, kInsideState + 100) == SECCOMP_RET_TRACE);
  }
}

TEST_CASE("brief reads and writes stop above the standard descriptors") {
  FilterSpec spec;
  spec.trace.set(kBriefRead).set(kBriefWrite);
  for (const long number : {SYS_read, SYS_write}) {
    CHECK(verdict(spec, number, {3, 0, 1}) == SECCOMP_RET_TRACE);
    CHECK(verdict(spec, number, {3, 0, 1024}) == SECCOMP_RET_TRACE);
    CHECK(verdict(spec, number, {3, 0, 1025}) == SECCOMP_RET_ALLOW);
    CHECK(verdict(spec, number, {2, 0, 1}) == SECCOMP_RET_ALLOW);
  }
}

TEST_CASE("small reads stop where only they are wanted") {
  FilterSpec spec;
  spec.trace.set(kSmallRead);
  CHECK(verdict(spec, SYS_read, {3, 0, 24}) == SECCOMP_RET_TRACE);
  CHECK(verdict(spec, SYS_read, {3, 0, 4096}) == SECCOMP_RET_TRACE);
  CHECK(verdict(spec, SYS_read, {3, 0, 4097}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(spec, SYS_write, {3, 0, 24}) == SECCOMP_RET_ALLOW);
  spec.trace.set(SYS_read);
  CHECK(verdict(spec, SYS_read, {3, 0, 4097}) == SECCOMP_RET_TRACE);
}

TEST_CASE("an untraced call takes few instructions") {
  FilterSpec spec = base_of({SYS_bpf, SYS_openat, SYS_execve, SYS_stat, SYS_ioctl, SYS_perf_event_open, SYS_unlink});
  seccomp_data data = {};
  data.arch = AUDIT_ARCH_X86_64;
  size_t worst = 0;
  for (int number = 0; number <= 450; ++number) {
    data.nr = number;
    worst = std::max(worst, run(build_filter(spec), data).steps);
  }
  CHECK(worst <= 20);
}

TEST_CASE("everything is a short filter, and any set fits the kernel's limit") {
  FilterSpec all;
  all.trace.set();
  CHECK(build_filter(all).size() <= 22);  // it, and one call, look at where it is made
  FilterSpec alternating;
  for (size_t number = 0; number < kSyscallLimit; number += 2) alternating.trace.set(number);
  CHECK(build_filter(alternating).size() <= 4096);
}

TEST_CASE("calls that the claimed kernel has not got stop, whatever their number") {
  const FilterSpec spec = base_of({SYS_bpf});
  for (const long number : {335L, 423L, 451L, 507L, 508L, 511L, 512L, 1000L, 0x3fffffffL, 0x7fffffffL, -1L, -2L}) {
    INFO(number);
    CHECK(verdict(spec, number) == SECCOMP_RET_TRACE);
    CHECK(verdict(FilterSpec{}, number) == SECCOMP_RET_ALLOW);
  }
  for (const long number : {0L, 334L, 424L, 450L}) CHECK(verdict(spec, number) == SECCOMP_RET_ALLOW);
}

TEST_CASE("other ABIs") {
  const FilterSpec spec = base_of({SYS_bpf});
  CHECK(verdict(spec, 357, {}, AUDIT_ARCH_I386) == (SECCOMP_RET_TRACE | kCompatTag));
  CHECK(verdict(spec, 336, {}, AUDIT_ARCH_I386) == (SECCOMP_RET_TRACE | kCompatTag));
  CHECK(verdict(spec, SYS_bpf, {}, AUDIT_ARCH_I386) == SECCOMP_RET_ALLOW);
  CHECK(verdict(spec, 0x40000000 | SYS_bpf) == SECCOMP_RET_TRACE);
  FilterSpec wider;
  wider.trace.set();
  CHECK(verdict(wider, 5, {}, AUDIT_ARCH_I386) == SECCOMP_RET_ALLOW);
}

TEST_CASE("the secret getpid reaches the listener, the public one says that we are here") {
  const Secret secret = {0x1122334455667788, 0x99aabbccddeeff00};
  FilterSpec spec = base_of({});
  spec.secret = &secret;
  CHECK(verdict(spec, SYS_getpid) == SECCOMP_RET_ALLOW);
  CHECK(verdict(spec, SYS_getpid, {secret.first, secret.second}) == SECCOMP_RET_USER_NOTIF);
  for (int bit = 0; bit < 128; ++bit) {
    const u64 flip = u64{1} << (bit % 64);
    const Secret wrong = {secret.first ^ (bit < 64 ? flip : 0), secret.second ^ (bit < 64 ? 0 : flip)};
    CHECK(verdict(spec, SYS_getpid, {wrong.first, wrong.second}) == SECCOMP_RET_ALLOW);
  }
  CHECK(verdict(spec, SYS_getpid, {kPresence}) == (SECCOMP_RET_ERRNO | kPresenceErrno));
  CHECK(verdict(spec, SYS_getpid, {kPresence ^ 1}) == SECCOMP_RET_ALLOW);
  spec.secret = nullptr;
  CHECK(verdict(spec, SYS_getpid, {secret.first, secret.second}) == SECCOMP_RET_ALLOW);
}

TEST_CASE("calls that stop for some arguments only") {
  const FilterSpec spec = base_of({SYS_mmap});
  CHECK(verdict(spec, SYS_mmap, {0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(spec, SYS_mmap, {0, 4096, 3, MAP_SHARED}) == SECCOMP_RET_TRACE);
  CHECK(verdict(spec, SYS_clone, {SIGCHLD}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(spec, SYS_clone, {CLONE_UNTRACED | SIGCHLD}) == SECCOMP_RET_TRACE);
  CHECK(verdict(spec, SYS_rt_sigaction, {SIGINT}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(spec, SYS_rt_sigaction, {SIGTRAP}) == SECCOMP_RET_TRACE);
  CHECK(verdict(spec, SYS_rt_sigaction, {SIGSYS}) == SECCOMP_RET_TRACE);
  CHECK(verdict(spec, SYS_socket, {AF_INET, SOCK_STREAM}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(spec, SYS_socket, {AF_NETLINK, SOCK_RAW}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(spec, SYS_socket, {AF_PACKET, SOCK_RAW}) == SECCOMP_RET_TRACE);
  CHECK(verdict(spec, SYS_setsockopt, {3, SOL_SOCKET, SO_REUSEADDR}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(spec, SYS_setsockopt, {3, SOL_SOCKET, SO_ATTACH_BPF}) == SECCOMP_RET_TRACE);
  CHECK(verdict(spec, SYS_setsockopt, {3, SOL_NETLINK, NETLINK_EXT_ACK}) == SECCOMP_RET_TRACE);
  CHECK(verdict(spec, SYS_prlimit64, {0, RLIMIT_STACK}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(spec, SYS_prlimit64, {0, RLIMIT_MEMLOCK}) == SECCOMP_RET_TRACE);
  CHECK(verdict(spec, SYS_setrlimit, {RLIMIT_NOFILE}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(spec, SYS_setrlimit, {RLIMIT_MEMLOCK}) == SECCOMP_RET_TRACE);
  CHECK(verdict(spec, SYS_sendto, {3}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(spec, SYS_sendto, {3, 0, 0, 0, 0, sizeof(sockaddr_nl)}) == SECCOMP_RET_TRACE);
  CHECK(verdict(spec, SYS_sendmsg, {3}) == SECCOMP_RET_ALLOW);
  CHECK_FALSE(fully_traced(spec)[SYS_mmap]);
  CHECK_FALSE(fully_traced(spec)[SYS_clone]);
  CHECK(fully_traced(spec)[SYS_clone3]);

  // The table may want all of a call that the loader wants some of.
  const FilterSpec greedy = base_of({SYS_prctl});
  CHECK(verdict(greedy, SYS_prctl, {1}) == SECCOMP_RET_TRACE);
  CHECK(fully_traced(greedy)[SYS_prctl]);
}

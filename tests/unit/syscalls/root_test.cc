// SPDX-License-Identifier: Apache-2.0
// The root that is answered where the host has none, and owners that are remembered.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/syscalls/fixture.h"

using namespace bpfemu;

namespace {

u64 ptr(const void* p) { return reinterpret_cast<u64>(p); }

struct TestFile {
  TestFile() { ::close(mkstemp(path)); }
  ~TestFile() { ::unlink(path); }
  char path[32] = "/tmp/bpfemu-root.XXXXXX";
};

std::pair<u32, u32> owner(const char* path) {
  struct stat st {};
  REQUIRE(test::kernel().call(SYS_stat, {ptr(path), ptr(&st)}) == 0);
  struct statx x {};
  REQUIRE(test::kernel().call(SYS_statx, {static_cast<u64>(AT_FDCWD), ptr(path), 0, STATX_BASIC_STATS, ptr(&x)}) == 0);
  CHECK(x.stx_uid == st.st_uid);
  CHECK(x.stx_gid == st.st_gid);
  return {st.st_uid, st.st_gid};
}

}  // namespace

TEST_CASE("dropped capabilities survive fork, end at exec, and are no later thread's of the same number") {
  auto& k = test::kernel();
  Identities& ids = k.system->identities;
  constexpr pid_t kParent = 1'000'001, kChild = 1'000'002, kThread = 1'000'003;
  CHECK(ids.capabilities(kParent).bpf);
  const auto sets = [](u64 effective, u64 permitted) {
    return CapabilitySets{.effective = effective, .permitted = permitted};
  };
  REQUIRE(ids.set(kParent, sets(0, u64{1} << CAP_BPF)));
  ids.forked(kParent, kChild);
  CHECK(!ids.capabilities(kChild).bpf);
  CHECK(ids.set(kChild, sets(u64{1} << CAP_BPF, u64{1} << CAP_BPF)));
  CHECK(ids.capabilities(kChild).bpf);
  CHECK(!ids.capabilities(kChild).sys_admin);
  CHECK(ids.set(kChild, sets(0, u64{1} << CAP_CHOWN)).error().value == EPERM);
  ids.gone(kChild);
  CHECK(ids.capabilities(kChild).sys_admin);
  // A thread that executes becomes its process' leader.
  ids.forked(kParent, kThread);
  ids.executed(kParent, kThread);
  CHECK(ids.capabilities(kParent).sys_admin);
  CHECK(ids.capabilities(kThread).sys_admin);
  ids.gone(kParent);
}

TEST_CASE("an owner that cannot be given is remembered by file, until that is gone") {
  auto& k = test::kernel();
  TestFile file;
  CHECK(owner(file.path) == std::pair(0u, 0u));
  CHECK(owner("/") == (getuid() == 0 ? std::pair(0u, 0u) : std::pair(65534u, 65534u)));
  CHECK(k.call(SYS_chown, {ptr(file.path), 1234, ~u64{0}}) == 0);
  CHECK(owner(file.path) == std::pair(1234u, 0u));
  int fd = ::open(file.path, O_RDONLY);
  CHECK(k.call(SYS_fchown, {static_cast<u64>(fd), ~u64{0}, 77}) == 0);
  struct stat st {};
  CHECK(k.call(SYS_fstat, {static_cast<u64>(fd), ptr(&st)}) == 0);
  CHECK(st.st_uid == 1234);
  CHECK(st.st_gid == 77);
  ::close(fd);
  // Another name keeps it, and a name lost to a rename is a name lost.
  std::string other = std::string(file.path) + ".2", third = std::string(file.path) + ".3";
  REQUIRE(::link(file.path, other.c_str()) == 0);
  CHECK(k.call(SYS_unlink, {ptr(file.path)}) == 0);
  CHECK(owner(other.c_str()) == std::pair(1234u, 77u));
  ::close(::open(third.c_str(), O_CREAT | O_WRONLY, 0600));
  CHECK(k.call(SYS_rename, {ptr(third.c_str()), ptr(other.c_str())}) == 0);
  CHECK(!k.system->owners.any());
  CHECK(owner(other.c_str()) == std::pair(0u, 0u));
  CHECK(k.call(SYS_lchown, {ptr(other.c_str()), 5, 5}) == 0);
  CHECK(k.call(SYS_fchownat, {static_cast<u64>(AT_FDCWD), ptr(other.c_str()), 0, 0, AT_SYMLINK_NOFOLLOW}) == 0);
  CHECK(!k.system->owners.any());
  CHECK(k.call(SYS_chown, {ptr("/nonexistent"), 5, 5}) == -ENOENT);
  ::unlink(other.c_str());
}

TEST_CASE("the one id of a namespace is all that there is") {
  auto& k = test::kernel();
  CHECK(k.call(SYS_getuid, {}) == 0);
  CHECK(k.call(SYS_setuid, {0}) == 0);
  CHECK(k.call(SYS_setuid, {1}) == -EINVAL);
  CHECK(k.call(SYS_setuid, {~u64{0}}) == -EINVAL);
  CHECK(k.call(SYS_setresgid, {~u64{0}, 0, ~u64{0}}) == 0);
  CHECK(k.call(SYS_setreuid, {0, 3}) == -EINVAL);
  CHECK(k.call(SYS_setfsuid, {3}) == 0);
  CHECK(k.call(SYS_setgroups, {0, 0}) == -EPERM);
}

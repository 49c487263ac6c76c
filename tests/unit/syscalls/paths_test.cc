// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "tests/unit/syscalls/fixture.h"

using namespace bpfemu;
using test::kernel;

namespace {

u64 at(const void* p) { return reinterpret_cast<u64>(p); }

s64 open_file(const char* path, int flags = O_RDONLY) {
  return kernel().call(SYS_openat, {static_cast<u64>(AT_FDCWD), at(path), static_cast<u64>(flags), 0, 0, 0});
}

std::string contents(s64 fd) {
  std::string text(1 << 16, 0);
  ssize_t size = read(static_cast<int>(fd), text.data(), text.size());
  text.resize(size < 0 ? 0 : static_cast<size_t>(size));
  close(static_cast<int>(fd));
  return text;
}

}  // namespace

TEST_CASE("a map's descriptor shows in /proc as the kernel's does") {
  auto& k = kernel();
  s64 fd = k.bpf(BPF_MAP_CREATE, test::map_attr(BPF_MAP_TYPE_HASH, 4, 8, 10));
  REQUIRE(fd >= 0);
  std::string link = "/proc/self/fd/" + std::to_string(fd);
  char target[64] = {};
  CHECK(k.call(SYS_readlink, {at(link.c_str()), at(target), sizeof target, 0, 0, 0}) == 18);
  CHECK(std::string(target) == "anon_inode:bpf-map");
  std::string info = contents(open_file(("/proc/self/fdinfo/" + std::to_string(fd)).c_str()));
  CHECK(info.find("pos:\t0\nflags:\t02000002\nmnt_id:\t") == 0);
  CHECK(info.find("map_type:\t1\nkey_size:\t4\nvalue_size:\t8\nmax_entries:\t10\nmap_flags:\t0x0\nmap_extra:\t0x0\n"
                  "memlock:\t4096\nmap_id:\t") != std::string::npos);
  CHECK(info.find("frozen:\t0\n") != std::string::npos);
  CHECK(open_file(link.c_str()) == -ENXIO);
  struct stat st;
  CHECK(k.call(SYS_fstat, {static_cast<u64>(fd), at(&st), 0, 0, 0, 0}) == 0);
  CHECK(st.st_mode == 0600);
  struct statfs fs;
  CHECK(k.call(SYS_fstatfs, {static_cast<u64>(fd), at(&fs), 0, 0, 0, 0}) == 0);
  CHECK(fs.f_type == 0x09041934);
  CHECK(k.call(SYS_fcntl, {static_cast<u64>(fd), F_GETFL, 0, 0, 0, 0}) == O_RDWR);
  CHECK(k.call(SYS_ioctl, {static_cast<u64>(fd), 0x541b, at(&st), 0, 0, 0}) == -ENOTTY);
  close(static_cast<int>(fd));
}

TEST_CASE("paths that are not ours are the kernel's, even wrong ones") {
  CHECK(open_file("/nowhere/at/all") == -ENOENT);
  CHECK(open_file(nullptr) == -EFAULT);
  CHECK(open_file("") == -ENOENT);
  s64 fd = open_file("/dev/null");
  CHECK(fd >= 0);
  close(static_cast<int>(fd));
}

TEST_CASE("tracefs is there") {
  auto& k = kernel();
  CHECK(k.call(SYS_access, {at("/sys/kernel/tracing/events"), F_OK, 0, 0, 0, 0}) == 0);
  struct statfs fs;
  CHECK(k.call(SYS_statfs, {at("/sys/kernel/tracing"), at(&fs), 0, 0, 0, 0}) == 0);
  CHECK(fs.f_type == 0x74726163);
  s64 folder = open_file("/sys/kernel/tracing/events/syscalls", O_RDONLY | O_DIRECTORY);
  REQUIRE(folder >= 0);
  char entries[4096];
  CHECK(k.call(SYS_getdents64, {static_cast<u64>(folder), at(entries), sizeof entries, 0, 0, 0}) > 0);
  CHECK(k.call(SYS_getdents64, {static_cast<u64>(folder), at(entries), 8, 0, 0, 0}) == -EINVAL);
  s64 relative = k.call(SYS_openat, {static_cast<u64>(folder), at("sys_enter_openat/id"), O_RDONLY, 0, 0, 0});
  CHECK(contents(relative).size() > 1);
  close(static_cast<int>(folder));
}

TEST_CASE("a synthetic folder can be the current one") {
  auto& k = kernel();
  char before[256], path[256] = {};
  REQUIRE(getcwd(before, sizeof before));
  CHECK(k.call(SYS_chdir, {at("/sys/kernel/tracing/README"), 0, 0, 0, 0, 0}) == -ENOTDIR);
  REQUIRE(k.call(SYS_chdir, {at("/sys/kernel/tracing/events"), 0, 0, 0, 0, 0}) == 0);
  CHECK(k.call(SYS_getcwd, {at(path), sizeof path, 0, 0, 0, 0}) == 27);
  CHECK(std::string(path) == "/sys/kernel/tracing/events");
  CHECK(k.call(SYS_getcwd, {at(path), 5, 0, 0, 0, 0}) == -ERANGE);
  CHECK(contents(open_file("sched/sched_switch/id")).size() > 1);
  CHECK(contents(open_file("../tracing_on")) == "1\n");
  CHECK(k.call(SYS_readlink, {at("/proc/self/cwd"), at(path), sizeof path, 0, 0, 0}) == 26);
  CHECK(k.call(SYS_chdir, {at("../../../.."), 0, 0, 0, 0, 0}) == 0);
  CHECK(std::string(getcwd(path, sizeof path)) == "/");
  REQUIRE(chdir(before) == 0);
}

TEST_CASE("links of the host lead into the tree") {
  auto& k = kernel();
  std::string link = "/tmp/paths_test." + std::to_string(getpid());
  REQUIRE(symlink("/sys/kernel/tracing", link.c_str()) == 0);
  CHECK(contents(open_file((link + "/tracing_on").c_str())) == "1\n");
  CHECK(contents(open_file((link + "/../tracing/tracing_on").c_str())) == "1\n");
  CHECK(contents(open_file("/proc/self/root/sys/kernel/tracing/tracing_on")) == "1\n");
  CHECK(open_file(link.c_str(), O_RDONLY | O_NOFOLLOW) == -ELOOP);
  CHECK(open_file("/etc/passwd/../../sys/kernel/tracing/tracing_on") == -ENOTDIR);
  CHECK(open_file("/no/../sys/kernel/tracing/tracing_on") == -ENOENT);
  struct stat st;
  CHECK(k.call(SYS_lstat, {at(link.c_str()), at(&st), 0, 0, 0, 0}) == 0);
  CHECK(S_ISLNK(st.st_mode));
  unlink(link.c_str());
}

TEST_CASE("what is open by its path alone") {
  auto& k = kernel();
  s64 fd = open_file("/sys/kernel/tracing/tracing_on", O_PATH);
  REQUIRE(fd >= 0);
  char byte;
  CHECK(read(static_cast<int>(fd), &byte, 1) == -1);
  CHECK(errno == EBADF);
  struct stat st;
  CHECK(k.call(SYS_fstat, {static_cast<u64>(fd), at(&st), 0, 0, 0, 0}) == 0);
  CHECK(st.st_mode == (S_IFREG | 0640));
  CHECK(contents(open_file(("/proc/self/fd/" + std::to_string(fd)).c_str())) == "1\n");
  CHECK(k.call(SYS_openat, {static_cast<u64>(fd), at("x"), O_RDONLY, 0, 0, 0}) == -ENOTDIR);
  close(static_cast<int>(fd));
}

TEST_CASE("uname tells the claimed kernel") {
  utsname names;
  CHECK(kernel().call(SYS_uname, {at(&names), 0, 0, 0, 0, 0}) == 0);
  CHECK(std::string(names.release).rfind("6.1", 0) == 0);
  CHECK(kernel().call(SYS_uname, {8, 0, 0, 0, 0, 0}) == -EFAULT);
}

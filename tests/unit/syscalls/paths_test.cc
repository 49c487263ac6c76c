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

TEST_CASE("uname tells the claimed kernel") {
  utsname names;
  CHECK(kernel().call(SYS_uname, {at(&names), 0, 0, 0, 0, 0}) == 0);
  CHECK(std::string(names.release).rfind("6.1", 0) == 0);
  CHECK(kernel().call(SYS_uname, {8, 0, 0, 0, 0, 0}) == -EFAULT);
}

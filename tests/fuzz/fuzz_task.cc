// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz_task.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace bpfemu::fuzz {

Result<void> FuzzTask::read(u64 address, void* to, size_t size) {
  if (!lives()) return fail(ESRCH);
  if (size == 0) return {};
  if (!memory_.holds(address, size)) return fail(EFAULT);
  std::memcpy(to, reinterpret_cast<const void*>(address), size);
  return {};
}

Result<void> FuzzTask::write(u64 address, const void* from, size_t size) {
  if (!lives()) return fail(ESRCH);
  if (size == 0) return {};
  if (!memory_.holds(address, size)) return fail(EFAULT);
  if (!memory_.may_write(address, size)) {
    std::fprintf(stderr, "a write of %zu bytes goes beyond its buffer\n", size);
    ++violations;
  }
  std::memcpy(reinterpret_cast<void*>(address), from, size);
  return {};
}

void FuzzTask::revive(s64 result) {
  for (int fd : installed_) {
    if (left_ == 0 && fd != result) close(fd);
  }
  installed_.clear();
  left_ = kForEver;
}

Result<std::string> FuzzTask::read_string(u64 address, size_t limit) {
  return lives() ? FakeTask::read_string(address, limit) : fail(ESRCH);
}

Result<u64> FuzzTask::call(long number, std::array<u64, 6> args) {
  if (!lives()) return fail(ESRCH);
  Result<u64> result = FakeTask::call(number, args);
  if (result && number == SYS_openat) installed_.push_back(static_cast<int>(*result));
  if (result && number == SYS_close) std::erase(installed_, static_cast<int>(args[0]));
  return result;
}

Result<int> FuzzTask::install_fd(int fd, bool cloexec) {
  if (!lives()) return fail(ESRCH);
  Result<int> installed = FakeTask::install_fd(fd, cloexec);
  if (installed) installed_.push_back(*installed);
  return installed;
}

Result<FileId> FuzzTask::file_id(int fd) {
  return lives() ? FakeTask::file_id(fd) : fail(ESRCH);
}

Result<int> FuzzTask::reopen_fd(int fd, int flags) {
  return lives() ? FakeTask::reopen_fd(fd, flags) : fail(ESRCH);
}

Result<u64> FuzzTask::scratch(size_t size) {
  return lives() ? FakeTask::scratch(size) : fail(ESRCH);
}

}  // namespace bpfemu::fuzz

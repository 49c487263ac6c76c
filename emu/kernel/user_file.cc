// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/user_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

namespace bpfemu {

namespace {

constexpr size_t kPageSize = 4096;

// What our own maps say about a mapping of the file.
Result<FileId> mapped_id(int fd) {
  void* const page = ::mmap(nullptr, kPageSize, PROT_READ, MAP_PRIVATE, fd, 0);
  if (page == MAP_FAILED) return fail(errno);
  std::ifstream maps("/proc/self/maps");
  Result<FileId> found = fail(ENOENT);
  for (std::string line; !found && std::getline(maps, line);) {
    u64 start = 0, ino = 0;
    u32 major = 0, minor = 0;
    const bool parsed = std::sscanf(line.c_str(), "%lx-%*x %*s %*x %x:%x %lu", &start, &major, &minor, &ino) == 4;
    if (parsed && start == reinterpret_cast<u64>(page)) found = FileId{makedev(major, minor), ino};
  }
  ::munmap(page, kPageSize);
  return found;
}

}  // namespace

Result<std::shared_ptr<const UserFile>> UserFile::open(Task& task, u64 path) {
  const u64 fd = TRY(task.call(SYS_openat, {static_cast<u64>(AT_FDCWD), path, O_PATH | O_CLOEXEC, 0, 0, 0}));
  const Result<int> own = task.reopen_fd(static_cast<int>(fd), O_PATH);
  (void)task.call(SYS_close, {fd, 0, 0, 0, 0, 0});
  if (!own) return std::unexpected(own.error());
  UniqueFd file(*own);
  struct stat st;
  if (::fstat(file.get(), &st) != 0) return fail(errno);
  if (!S_ISREG(st.st_mode)) return fail(EINVAL);
  UniqueFd data(::open(fmt::format("/proc/self/fd/{}", file.get()).c_str(), O_RDONLY | O_CLOEXEC));
  FileId id{st.st_dev, st.st_ino};
  if (data) id = mapped_id(data.get()).value_or(id);
  return std::shared_ptr<const UserFile>(new UserFile(std::move(file), std::move(data), id));
}

Result<std::shared_ptr<const UserFile>> UserFile::open(Task& task, std::string_view path) {
  const std::string text(path);
  const u64 at = TRY(task.scratch(text.size() + 1));
  TRY(task.write(at, text.c_str(), text.size() + 1));
  return open(task, at);
}

Result<void> UserFile::check_offset(u64 offset) const {
  struct statfs fs;
  struct stat st;
  if (::fstatfs(path_.get(), &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC) return fail(EIO);
  if (::fstat(path_.get(), &st) != 0) return fail(errno);
  // As signed numbers: what is negative is at no place of the file, and never hit.
  return static_cast<s64>(offset) > st.st_size ? Result<void>(fail(EINVAL)) : Result<void>();
}

std::vector<u8> UserFile::read(u64 offset, size_t size) const {
  std::vector<u8> bytes(size);
  const ssize_t got = data_ ? ::pread(data_.get(), bytes.data(), size, static_cast<off_t>(offset)) : -1;
  bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return bytes;
}

}  // namespace bpfemu

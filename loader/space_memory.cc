// SPDX-License-Identifier: Apache-2.0
#include "loader/space_memory.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "loader/proc_files.h"

namespace bpfemu {

namespace {

constexpr size_t kMostOpen = 256;
constexpr size_t kShare = 4;  // of the descriptors that the supervisor may have

bool lives(pid_t tid) {
  const char state = read_state(tid).value_or('X');
  return state != 'Z' && state != 'X';
}

}  // namespace

std::vector<MapsLine> parse_maps(const std::string& text) {
  std::vector<MapsLine> lines;
  std::istringstream stream(text);
  for (std::string each; std::getline(stream, each);) {
    MapsLine line{};
    char prot[5];
    u32 major = 0, minor = 0;
    if (std::sscanf(each.c_str(), "%lx-%lx %4s %lx %x:%x %lu", &line.start, &line.end, prot, &line.offset, &major,
                    &minor, &line.file.ino) < 7)
      continue;
    if (line.file.ino != 0) line.file.dev = makedev(major, minor);
    line.write = prot[1] == 'w';
    line.execute = prot[2] == 'x';
    line.shared = prot[3] == 's';
    lines.push_back(line);
  }
  return lines;
}

MemoryFiles::MemoryFiles() : limit_(kMostOpen) {
  rlimit files;
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) limit_ = std::clamp<u64>(files.rlim_max / kShare, 1, kMostOpen);
}

bool MemoryFiles::close_oldest() {
  if (open_.empty()) return false;
  open_.back()->close();
  return true;
}

void SpaceMemory::close() {
  if (!mem_) return;
  mem_.reset();
  files_.open_.remove(this);
}

Result<std::vector<MapsLine>> SpaceMemory::maps() const {
  int error = ESRCH;
  for (pid_t tid : threads_) {
    Result<std::string> text = read_proc(tid, "maps");
    while (!text && text.error().value == EMFILE && files_.close_oldest()) text = read_proc(tid, "maps");
    if (text && !text->empty()) return parse_maps(*text);
    if (!text) error = text.error().value;
  }
  return fail(error);
}

Result<int> SpaceMemory::fd() {
  if (mem_) {
    if (files_.open_.front() != this)
      files_.open_.splice(files_.open_.begin(), files_.open_,
                          std::find(files_.open_.begin(), files_.open_.end(), this));
    return mem_.get();
  }
  if (files_.open_.size() >= files_.limit_) files_.close_oldest();
  int error = ESRCH;
  for (pid_t tid : threads_) {
    if (!lives(tid)) continue;
    const std::string path = fmt::format("/proc/{}/mem", tid);
    do {
      mem_.reset(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    } while (!mem_ && errno == EMFILE && files_.close_oldest());
    if (mem_) {
      files_.open_.push_front(this);
      return mem_.get();
    }
    error = errno == ENOENT ? ESRCH : errno;
  }
  return fail(error);
}

Result<size_t> SpaceMemory::read(u64 address, void* to, size_t size) {
  const ssize_t n = ::pread(TRY(fd()), to, size, static_cast<off_t>(address));
  if (n <= 0) return fail(n < 0 ? errno : ESRCH);  // the file of a memory that is gone is empty
  return static_cast<size_t>(n);
}

Result<void> SpaceMemory::write(u64 address, const void* from, size_t size) {
  const ssize_t written = ::pwrite(TRY(fd()), from, size, static_cast<off_t>(address));
  if (written == static_cast<ssize_t>(size)) return {};
  return fail(written < 0 ? errno : written == 0 ? ESRCH : EIO);
}

bool SpaceMemory::compat() {
  for (size_t i = 0; compat_ < 0 && i < threads_.size(); ++i) {
    const UniqueFd exe(::open(fmt::format("/proc/{}/exe", threads_[i]).c_str(), O_RDONLY | O_CLOEXEC));
    u8 ident[EI_NIDENT];
    if (exe && ::pread(exe.get(), ident, sizeof ident, 0) == sizeof ident) compat_ = ident[EI_CLASS] == ELFCLASS32;
  }
  return compat_ == 1;
}

}  // namespace bpfemu

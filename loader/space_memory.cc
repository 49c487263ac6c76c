// SPDX-License-Identifier: Apache-2.0
#include "loader/space_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "emu/base/bytes.h"
#include "loader/moment.h"
#include "loader/proc_files.h"

namespace bpfemu {

namespace {

constexpr u64 kPage = 4096;
constexpr size_t kMostOpen = 256;
constexpr size_t kShare = 4;  // of the descriptors that the supervisor may have

bool lives(pid_t tid) {
  return !is_dead(tid);
}

// Takes words off the beginning of a line.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}
  // A number, and what stands behind it. False: there is none.
  template <class Number>
  bool take(Number& number, int base, char behind) {
    const char* const end = rest_.data() + rest_.size();
    const auto [at, error] = std::from_chars(rest_.data(), end, number, base);
    if (error != std::errc() || at == end || *at != behind) return false;
    rest_.remove_prefix(static_cast<size_t>(at + 1 - rest_.data()));
    return true;
  }
  std::string_view take(size_t size) {
    const std::string_view word = rest_.substr(0, size);
    rest_.remove_prefix(word.size());
    return word;
  }

 private:
  std::string_view rest_;
};

// "7f0000000000-7f0000001000 r-xp 00002000 fe:01 77 ..."
std::optional<MapsLine> parse_line(std::string_view text) {
  MapsLine line{};
  u32 major = 0, minor = 0;
  Words words(text);
  if (!words.take(line.start, 16, '-') || !words.take(line.end, 16, ' ')) return std::nullopt;
  const std::string_view prot = words.take(5);
  if (prot.size() != 5 || !words.take(line.offset, 16, ' ') || !words.take(major, 16, ':') ||
      !words.take(minor, 16, ' ') || !words.take(line.file.ino, 10, ' '))
    return std::nullopt;
  if (line.file.ino != 0) line.file.dev = makedev(major, minor);
  line.write = prot[1] == 'w';
  line.execute = prot[2] == 'x';
  line.shared = prot[3] == 's';
  return line;
}

}  // namespace

std::vector<MapsLine> parse_maps(std::string_view text) {
  std::vector<MapsLine> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (const auto line = parse_line(text.substr(0, end))) lines.push_back(*line);
    text.remove_prefix(std::min(end + 1, text.size()));
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

// Who has one thread is asked by that, alive or not.
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
    if (threads_.size() > 1 && !lives(tid)) continue;
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

// The file of a memory that is gone is empty. Another thread's may not be.
bool SpaceMemory::is_gone(ssize_t moved) {
  if (moved == 0) close();
  return moved == 0;
}

bool SpaceMemory::may_wait() const {
  return std::ranges::any_of(threads_, files_.may_wait);
}

// Nobody is there whom we could let wait, so a moment must do.
Result<std::shared_ptr<MemoryAccess>> SpaceMemory::access(u64 address, std::vector<u8> bytes, Access kind) {
  const auto alive = std::ranges::find_if(threads_, lives);
  if (alive == threads_.end()) return fail(ESRCH);
  if (!worker_) worker_ = std::make_unique<MemoryWorker>(-1);
  auto access = std::make_shared<MemoryAccess>(*alive, address, kind, std::move(bytes));
  TRY(worker_->begin(access));
  if (!comes_soon([&] { return access->done.load(); })) return fail(EFAULT);
  if (access->error) return fail(access->error);
  return access;
}

Result<size_t> SpaceMemory::read(u64 address, void* to, size_t size) {
  if (may_wait()) {
    const u64 in_page = kPage - address % kPage;
    auto done = access(address, std::vector<u8>(size), Access::kRead);
    if (!done && in_page < size) done = access(address, std::vector<u8>(in_page), Access::kRead);
    if (!done) return fail(done.error().value);
    std::ranges::copy((*done)->bytes, static_cast<u8*>(to));
    return (*done)->bytes.size();
  }
  const ssize_t n = ::pread(TRY(fd()), to, size, static_cast<off_t>(address));
  if (n < 0) return fail(errno);
  if (is_gone(n)) return fail(ESRCH);
  return static_cast<size_t>(n);
}

Result<void> SpaceMemory::read(std::span<const MemoryPiece> pieces) {
  std::vector<iovec> local, remote;
  size_t total = 0;
  for (const MemoryPiece& piece : pieces) {
    local.push_back({piece.to, piece.size});
    remote.push_back({reinterpret_cast<void*>(piece.address), piece.size});
    total += piece.size;
  }
  const bool at_once = threads_.size() == 1 && !may_wait() && pieces.size() <= IOV_MAX;
  if (at_once && ::process_vm_readv(threads_.front(), local.data(), local.size(), remote.data(), remote.size(), 0) ==
                     static_cast<ssize_t>(total))
    return {};
  // Some containers deny the call but not the file.
  for (const MemoryPiece& piece : pieces)
    if (TRY(read(piece.address, piece.to, piece.size)) != piece.size) return fail(EIO);
  return {};
}

Result<void> SpaceMemory::write(u64 address, const void* from, size_t size) {
  if (may_wait()) {
    const auto* const bytes = static_cast<const u8*>(from);
    TRY(access(address, {bytes, bytes + size}, Access::kForce));
    return {};
  }
  const ssize_t written = ::pwrite(TRY(fd()), from, size, static_cast<off_t>(address));
  if (written == static_cast<ssize_t>(size)) return {};
  if (written < 0) return fail(errno);
  return fail(is_gone(written) ? ESRCH : EIO);
}

bool SpaceMemory::compat() {
  for (size_t i = 0; compat_ < 0 && i < threads_.size(); ++i) {
    // Not from the program's file, which a FUSE server may hold back. Types are small numbers; two words of 32 bits are
    // none.
    const Result<std::string> vector = read_proc(threads_[i], "auxv");
    if (vector && vector->size() >= sizeof(u64)) compat_ = load<u64>(vector->data()) > ~u32{0};
  }
  return compat_ == 1;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/arena/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {
// The file and its mapping grow by at least this much, so that the address space taken follows what is used.
constexpr u64 kGrowStep = u64{64} << 20;
// Pages become executable in pieces of this size: changing a protection costs more than a small program.
constexpr u64 kCodeStep = u64{1} << 20;
// Extents up to this size keep their pages when they are released: clearing them costs less than new ones.
constexpr u64 kKeptSize = 2 * kPageSize;

// Of the machine, or of the cgroup that it is shown as.
u64 memory_limit() {
  u64 limit = static_cast<u64>(::sysconf(_SC_PHYS_PAGES)) * kPageSize;
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
    char text[32] = {};
    if (file && ::read(file.get(), text, sizeof text - 1) > 0 && text[0] >= '1' && text[0] <= '9')
      limit = std::min<u64>(limit, std::strtoull(text, nullptr, 10));
  }
  return limit;
}

void* pointer(u64 address) {
  return reinterpret_cast<void*>(address);
}
}  // namespace

void FreeExtents::add(Extent extent) {
  auto [address, size] = extent;
  auto after = sizes_.upper_bound(address);
  if (after != sizes_.end() && after->first == address + size) {
    size += after->second;
    after = sizes_.erase(after);
  }
  if (after != sizes_.begin()) {
    auto before = std::prev(after);
    if (before->first + before->second == address) {
      before->second += size;
      return;
    }
  }
  sizes_[address] = size;
}

std::optional<Extent> FreeExtents::take(u64 size) {
  auto it = std::ranges::find_if(sizes_, [size](const auto& range) { return range.second >= size; });
  if (it == sizes_.end()) return std::nullopt;
  auto [address, available] = *it;
  sizes_.erase(it);
  if (available > size) sizes_[address + size] = available - size;
  return Extent{address, size};
}

Result<std::unique_ptr<Arena>> Arena::create(u32 cpus) {
  if (cpus == 0 || cpus > kMaxCpus) return fail(EINVAL);
  std::unique_ptr<Arena> arena(new Arena);
  arena->limit_ = memory_limit() / 4 * 3;
  arena->fd_.reset(::memfd_create("bpfemu-arena", MFD_CLOEXEC));
  if (!arena->fd_) return fail(errno);
  Extent slots = TRY(arena->allocate((cpus + kSpareVcpus) * sizeof(Vcpu)));
  arena->cpus_ = cpus;
  arena->vcpus_ = static_cast<Vcpu*>(pointer(slots.address));
  for (u32 id = 0; id < cpus; ++id) arena->vcpus_[id].id = arena->vcpus_[id].slot = id;
  return arena;
}

Arena::~Arena() {
  if (grown_ != 0) ::munmap(pointer(kArenaBase), grown_);
}

Result<UniqueFd> Arena::for_reading() const {
  const std::string path = "/proc/self/fd/" + std::to_string(fd_.get());
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail(errno);
  return file;
}

Result<void> Arena::map_range(u64 address, u64 size, u64 offset, int flags) {
  void* at = ::mmap(pointer(address), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | flags, fd_.get(),
                    static_cast<off_t>(offset));
  if (at == MAP_FAILED) return fail(errno == EEXIST ? EEXIST : ENOMEM);
  if (at == pointer(address)) return {};
  ::munmap(at, size);  // a kernel that takes MAP_FIXED_NOREPLACE for a mere hint
  return fail(EEXIST);
}

Result<void> Arena::map_anonymous(u64 address, u64 size) {
  void* at = ::mmap(pointer(address), size, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (at == MAP_FAILED) return fail(errno == EEXIST ? EEXIST : ENOMEM);
  if (at == pointer(address)) return {};
  ::munmap(at, size);
  return fail(EEXIST);
}

Result<void> Arena::grow(u64 size) {
  size = std::min(std::max(size, kGrowStep), kArenaSpan - grown_);
  const bool resized = fd_ && ::ftruncate(fd_.get(), static_cast<off_t>(grown_ + size)) == 0;
  if (!resized && fd_ && (errno != EFBIG || grown_ != 0)) return fail(ENOMEM);
  if (!resized) fd_.reset();
  TRY(resized ? map_range(kArenaBase + grown_, size, grown_, MAP_FIXED_NOREPLACE)
              : map_anonymous(kArenaBase + grown_, size));
  free_.add({kArenaBase + grown_, size});
  grown_ += size;
  return {};
}

Result<Extent> Arena::allocate(u64 size) {
  if (size == 0 || size > kArenaSpan) return fail(ENOMEM);
  size = round_up(size, kPageSize);
  if (auto extent = free_.take(size)) return *extent;
  if (size > kArenaSpan - grown_) return fail(ENOMEM);
  TRY(grow(size));
  return *free_.take(size);
}

Result<Extent> Arena::allocate_code(u64 size) {
  size = round_up(size, kPageSize);
  if (auto extent = free_code_.take(size)) return *extent;
  const Extent fresh = TRY(allocate(std::max(size, kCodeStep)));
  if (::mprotect(pointer(fresh.address), fresh.size, PROT_READ | PROT_EXEC) != 0) return fail(ENOMEM);
  free_code_.add(fresh);
  return *free_code_.take(size);
}

void Arena::release_code(Extent extent) {
  if (extent.size == 0) return;
  if (readers_ != 0) return waiting_code_.push_back(extent);
  free_code_.add(extent);
}

void Arena::leave_grace() {
  if (--readers_ != 0) return;
  for (const Extent extent : std::exchange(waiting_, {})) release(extent);
  for (const Extent extent : std::exchange(waiting_code_, {})) release_code(extent);
}

// Through the file, if there is one: no page is ever writable and executable.
Result<void> Arena::write_code(Extent extent, std::span<const u8> code) {
  if (code.size() > extent.size) return fail(ENOMEM);
  if (!fd_) {
    const u64 first = round_down(extent.address, kPageSize);
    const u64 size = round_up(extent.address + code.size(), kPageSize) - first;
    if (::mprotect(pointer(first), size, PROT_READ | PROT_WRITE) != 0) return fail(ENOMEM);
    std::memcpy(pointer(extent.address), code.data(), code.size());
    return ::mprotect(pointer(first), size, PROT_READ | PROT_EXEC) == 0 ? Result<void>{} : fail(ENOMEM);
  }
  const ssize_t n = ::pwrite(fd_.get(), code.data(), code.size(), static_cast<off_t>(file_offset(extent.address)));
  if (n != static_cast<ssize_t>(code.size())) return fail(ENOMEM);
  return {};
}

Result<void> Arena::commit(u64 size) {
  if (size > limit_ - committed_) return fail(ENOMEM);
  committed_ += size;
  return {};
}

bool Arena::exhausted() {
  constexpr u32 kBetweenLooks = 64;
  constexpr u64 kBlock = 512;  // of st_blocks
  if (asked_++ % kBetweenLooks != 0) return exhausted_;
  struct stat file;
  exhausted_ = fd_ && ::fstat(fd_.get(), &file) == 0 && static_cast<u64>(file.st_blocks) * kBlock > limit_;
  return exhausted_;
}

void Arena::release(Extent extent) {
  if (extent.size == 0) return;
  if (readers_ != 0) return waiting_.push_back(extent);
  if (auto it = mirrors_.lower_bound(extent.address);
      it != mirrors_.end() && it->first < extent.address + extent.size) {
    // Pages that cannot be given their own memory back stay out of use for ever.
    if (!fd_ || !map_range(it->first, it->second, file_offset(it->first), MAP_FIXED)) return;
    mirrors_.erase(it);
  }
  if (extent.size <= kKeptSize) {
    std::memset(pointer(extent.address), 0, extent.size);
  } else if (!fd_) {
    ::madvise(pointer(extent.address), extent.size, MADV_REMOVE);
  } else {
    ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(file_offset(extent.address)),
                static_cast<off_t>(extent.size));
  }
  free_.add(extent);
}

Result<void> Arena::mirror(Extent extent, u64 size) {
  u64 address = extent.address + extent.size - size;
  if (fd_) {
    TRY(map_range(address, size, file_offset(address - size), MAP_FIXED));
  } else if (::mremap(pointer(address - size), 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, pointer(address)) == MAP_FAILED) {
    return fail(ENOMEM);  // a second mapping of the same pages
  }
  mirrors_[address] = size;
  return {};
}

std::vector<FileRange> Arena::file_ranges(u64 address, u64 size) const {
  std::vector<FileRange> ranges;
  while (size != 0) {
    auto next = mirrors_.upper_bound(address);
    u64 offset = file_offset(address);
    u64 length = next == mirrors_.end() ? size : std::min(size, next->first - address);
    if (next != mirrors_.begin()) {
      auto [at, mirrored] = *std::prev(next);
      if (address < at + mirrored) {
        offset -= mirrored;
        length = std::min(size, at + mirrored - address);
      }
    }
    ranges.push_back({offset, length});
    address += length;
    size -= length;
  }
  return ranges;
}

}  // namespace bpfemu

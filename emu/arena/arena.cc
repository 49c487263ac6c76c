// SPDX-License-Identifier: Apache-2.0
#include "emu/arena/arena.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {
// The file and its mapping grow by at least this much, so that the address space taken follows what is used.
constexpr u64 kGrowStep = u64{64} << 20;

void* pointer(u64 address) {
  return reinterpret_cast<void*>(address);
}
}  // namespace

Result<std::unique_ptr<Arena>> Arena::create(u32 cpus) {
  if (cpus == 0 || cpus > kMaxCpus) return fail(EINVAL);
  std::unique_ptr<Arena> arena(new Arena);
  arena->limit_ = static_cast<u64>(::sysconf(_SC_PHYS_PAGES)) * kPageSize;
  arena->fd_.reset(::memfd_create("bpfemu-arena", MFD_CLOEXEC));
  if (!arena->fd_) return fail(errno);
  Extent slots = TRY(arena->allocate(cpus * sizeof(Vcpu)));
  arena->cpus_ = cpus;
  arena->vcpus_ = static_cast<Vcpu*>(pointer(slots.address));
  for (u32 id = 0; id < cpus; ++id) arena->vcpus_[id].id = id;
  return arena;
}

Arena::~Arena() {
  if (grown_ != 0) ::munmap(pointer(kArenaBase), grown_);
}

Result<void> Arena::map_range(u64 address, u64 size, u64 offset, int flags) {
  void* at = ::mmap(pointer(address), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | flags, fd_.get(),
                    static_cast<off_t>(offset));
  if (at == MAP_FAILED) return fail(errno == EEXIST ? EEXIST : ENOMEM);
  if (at == pointer(address)) return {};
  ::munmap(at, size);  // a kernel that takes MAP_FIXED_NOREPLACE for a mere hint
  return fail(EEXIST);
}

Result<void> Arena::grow(u64 size) {
  size = std::min(std::max(size, kGrowStep), kArenaSpan - grown_);
  if (::ftruncate(fd_.get(), static_cast<off_t>(grown_ + size)) != 0) return fail(ENOMEM);
  TRY(map_range(kArenaBase + grown_, size, grown_, MAP_FIXED_NOREPLACE));
  add_free(kArenaBase + grown_, size);
  grown_ += size;
  return {};
}

Result<Extent> Arena::allocate(u64 size) {
  if (size == 0 || size > kArenaSpan) return fail(ENOMEM);
  size = round_up(size, kPageSize);
  auto fits = [size](const auto& range) { return range.second >= size; };
  auto it = std::ranges::find_if(free_, fits);
  if (it == free_.end()) {
    if (size > kArenaSpan - grown_) return fail(ENOMEM);
    TRY(grow(size));
    it = std::ranges::find_if(free_, fits);
  }
  auto [address, available] = *it;
  free_.erase(it);
  if (available > size) free_[address + size] = available - size;
  return Extent{address, size};
}

Result<void> Arena::commit(u64 size) {
  if (size > limit_ - committed_) return fail(ENOMEM);
  committed_ += size;
  return {};
}

void Arena::add_free(u64 address, u64 size) {
  auto after = free_.upper_bound(address);
  if (after != free_.end() && after->first == address + size) {
    size += after->second;
    after = free_.erase(after);
  }
  if (after != free_.begin()) {
    auto before = std::prev(after);
    if (before->first + before->second == address) {
      before->second += size;
      return;
    }
  }
  free_[address] = size;
}

void Arena::release(Extent extent) {
  if (extent.size == 0) return;
  if (auto it = mirrors_.lower_bound(extent.address);
      it != mirrors_.end() && it->first < extent.address + extent.size) {
    // Pages that cannot be given their own memory back stay out of use for ever.
    if (!map_range(it->first, it->second, file_offset(it->first), MAP_FIXED)) return;
    mirrors_.erase(it);
  }
  if (!protect(extent, false)) return;
  ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(file_offset(extent.address)),
              static_cast<off_t>(extent.size));
  add_free(extent.address, extent.size);
}

Result<void> Arena::protect(Extent extent, bool executable) {
  int protection = PROT_READ | (executable ? PROT_EXEC : PROT_WRITE);
  if (::mprotect(pointer(extent.address), extent.size, protection) != 0) return fail(errno);
  return {};
}

Result<void> Arena::mirror(Extent extent, u64 size) {
  u64 address = extent.address + extent.size - size;
  TRY(map_range(address, size, file_offset(address - size), MAP_FIXED));
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

// SPDX-License-Identifier: Apache-2.0
#include "emu/arena/arena.h"

#include <fcntl.h>
#include <sched.h>
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
// How often others may go on before whoever has a seat is given up.
constexpr auto kSeatPatience = std::chrono::milliseconds(2);
constexpr auto kLongestSitting = std::chrono::seconds(10);

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

Result<void> punch_hole(const UniqueFd& file, u64 offset, u64 size) {
  const int done = ::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                               static_cast<off_t>(size));
  return done == 0 ? Result<void>{} : fail(ENOMEM);
}

// Of what is in use, and nothing where it is sparse.
Result<void> copy_pages(const UniqueFd& from, const UniqueFd& to, u64 offset, u64 size) {
  const off_t end = static_cast<off_t>(offset + size);
  off_t at = static_cast<off_t>(offset);
  while ((at = ::lseek(from.get(), at, SEEK_DATA)) >= 0 && at < end) {
    const off_t stop = std::min(::lseek(from.get(), at, SEEK_HOLE), end);
    if (stop <= at) return fail(ENOMEM);
    while (at < stop) {
      const void* data = pointer(kArenaBase + static_cast<u64>(at));
      const ssize_t n = ::pwrite(to.get(), data, static_cast<size_t>(stop - at), at);
      if (n <= 0) return fail(ENOMEM);
      at += n;
    }
  }
  return at >= 0 || errno == ENXIO ? Result<void>{} : fail(ENOMEM);
}

// In use according to its file system.
u64 bytes_of(const UniqueFd& file) {
  constexpr u64 kBlock = 512;  // of st_blocks
  struct stat status;
  return file && ::fstat(file.get(), &status) == 0 ? static_cast<u64>(status.st_blocks) * kBlock : 0;
}

// The first of the pieces that begins in `extent`.
auto first_in(std::map<u64, u64>& pieces, Extent extent) {
  const auto it = pieces.lower_bound(extent.address);
  return it != pieces.end() && it->first < extent.address + extent.size ? it : pieces.end();
}

// The piece that `address` lies in.
std::optional<Extent> piece_at(const std::map<u64, u64>& pieces, u64 address) {
  const auto next = pieces.upper_bound(address);
  if (next == pieces.begin()) return std::nullopt;
  const auto [at, size] = *std::prev(next);
  return address < at + size ? std::optional<Extent>({at, size}) : std::nullopt;
}

// Where the first piece behind `address` begins, at the most `end`.
u64 next_piece(const std::map<u64, u64>& pieces, u64 address, u64 end) {
  const auto next = pieces.upper_bound(address);
  return next == pieces.end() ? end : std::min(end, next->first);
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
  arena->shared_fd_.reset(::memfd_create("bpfemu-values", MFD_CLOEXEC));
  Extent slots = TRY(arena->allocate((cpus + kSpareVcpus) * sizeof(Vcpu)));
  arena->cpus_ = cpus;
  arena->vcpus_ = static_cast<Vcpu*>(pointer(slots.address));
  for (u32 id = 0; id < cpus; ++id) arena->vcpus_[id].id = arena->vcpus_[id].slot = id;
  return arena;
}

Arena::~Arena() {
  if (grown_ != 0) ::munmap(pointer(kArenaBase), grown_);
}

Result<UniqueFd> Arena::for_reading(bool shared) const {
  const std::string path = "/proc/self/fd/" + std::to_string((shared ? shared_fd_ : fd_).get());
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail(errno);
  return file;
}

Result<void> Arena::map_range(const UniqueFd& file, u64 address, u64 size, u64 offset, int flags) {
  void* at = ::mmap(pointer(address), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | flags, file.get(),
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
  TRY(resized ? map_range(fd_, kArenaBase + grown_, size, grown_, MAP_FIXED_NOREPLACE)
              : map_anonymous(kArenaBase + grown_, size));
  free_.add({kArenaBase + grown_, size});
  grown_ += size;
  return {};
}

const u64* Arena::shares_told() {
  if (shares_told_) return shares_told_;
  const auto memory = allocate(sizeof *shares_told_);
  if (!memory) return nullptr;
  shares_told_ = static_cast<u64*>(pointer(memory->address));
  *shares_told_ = shares_;
  return shares_told_;
}

void Arena::count_share() {
  ++shares_;
  if (shares_told_) __atomic_store_n(shares_told_, shares_, __ATOMIC_SEQ_CST);
}

CpuSeat* Arena::seats() {
  if (seats_) return seats_;
  const auto memory = allocate(cpus_ * sizeof(CpuSeat));
  if (!memory) return nullptr;
  if (!share(*memory)) return release(*memory), nullptr;
  seats_ = static_cast<CpuSeat*>(pointer(memory->address));
  for (u32 id = 0; id < cpus_; ++id) vcpus_[id].seat = &seats_[id];
  return seats_;
}

Vcpu* Arena::take_vcpu(u32 wanted, u32 tid) {
  const auto begun = std::chrono::steady_clock::now();
  while (seats_ && std::chrono::steady_clock::now() - begun < kSeatPatience) {
    if (Vcpu* const cpu = acquire_vcpu(vcpus_, cpus_, wanted, tid, 0)) return cpu;
    if (std::none_of(vcpus_, vcpus_ + cpus_, [](const Vcpu& cpu) { return cpu.owner == 0; })) break;
    ::sched_yield();
  }
  return acquire_vcpu(vcpus_, cpus_, wanted, tid);
}

Arena::Sitters::Sitters(const CpuSeat* seats, u32 cpus) : since_(std::chrono::steady_clock::now()) {
  for (u32 id = 0; seats && id < cpus; ++id) {
    const u32 taken = __atomic_load_n(&seats[id].taken, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&seats[id].holder, __ATOMIC_SEQ_CST) != 0) taken_.emplace_back(&seats[id], taken);
  }
}

bool Arena::Sitters::have_left() const {
  const auto has_left = [](const auto& sitter) {
    const auto& [seat, taken] = sitter;
    return __atomic_load_n(&seat->holder, __ATOMIC_SEQ_CST) == 0 || __atomic_load_n(&seat->taken, __ATOMIC_SEQ_CST) != taken;
  };
  return std::ranges::all_of(taken_, has_left) || std::chrono::steady_clock::now() - since_ > kLongestSitting;
}

bool Arena::waits_for_sitters(Extent extent, bool code) {
  if (!seats_) return false;
  end_passings();
  Sitters sitters(seats_, cpus_);
  if (sitters.have_left()) return false;
  passings_.push_back({std::move(sitters), extent, code});
  return true;
}

void Arena::end_passings() {
  const auto over = std::ranges::partition(passings_, [](const Passing& each) { return !each.sitters.have_left(); });
  const std::vector<Passing> ended(over.begin(), over.end());
  passings_.erase(over.begin(), over.end());
  for (const Passing& each : ended) free_now(each.extent, each.code);
}

void Arena::free_seats(u32 tid) {
  for (u32 id = 0; seats_ && id < cpus_; ++id)
    if (__atomic_load_n(&seats_[id].holder, __ATOMIC_RELAXED) == tid) leave_seat(seats_[id]);
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
  if (!waits_for_sitters(extent, true)) free_now(extent, true);
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
  if (asked_++ % kBetweenLooks != 0) return exhausted_;
  exhausted_ = bytes_of(fd_) + bytes_of(shared_fd_) > limit_;
  return exhausted_;
}

void Arena::release(Extent extent) {
  if (extent.size == 0) return;
  if (readers_ != 0) return waiting_.push_back(extent);
  if (!waits_for_sitters(extent, false)) free_now(extent, false);
}

void Arena::free_now(Extent extent, bool code) {
  if (code) return free_code_.add(extent);
  // Pages that cannot be given their own memory back stay out of use for ever.
  if (!take_back_mirrors(extent) || !take_back_shared(extent)) return;
  if (extent.size <= kKeptSize) {
    std::memset(pointer(extent.address), 0, extent.size);
  } else if (!fd_) {
    ::madvise(pointer(extent.address), extent.size, MADV_REMOVE);
  } else {
    (void)punch_hole(fd_, file_offset(extent.address), extent.size);
  }
  free_.add(extent);
}

Result<void> Arena::mirror(Extent extent, u64 size) {
  u64 address = extent.address + extent.size - size;
  if (fd_) {
    TRY(map_range(fd_, address, size, file_offset(address - size), MAP_FIXED));
  } else if (::mremap(pointer(address - size), 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, pointer(address)) == MAP_FAILED) {
    return fail(ENOMEM);  // a second mapping of the same pages
  }
  mirrors_[address] = size;
  return {};
}

Result<void> Arena::take_back_mirrors(Extent extent) {
  const auto it = first_in(mirrors_, extent);
  if (it == mirrors_.end()) return {};
  if (!fd_) return fail(EOPNOTSUPP);
  TRY(map_range(fd_, it->first, it->second, file_offset(it->first), MAP_FIXED));
  mirrors_.erase(it);
  return {};
}

Result<void> Arena::share(Extent part) {
  const u64 end = part.address + part.size;
  if (!fd_) return fail(EOPNOTSUPP);
  if (part.address % kPageSize || part.size % kPageSize || !contains(part.address, part.size)) return fail(EINVAL);
  for (const auto& [address, size] : mirrors_)
    if (part.address < address + size && end > address - size) return fail(EINVAL);
  if (!shared_fd_ || ::ftruncate(shared_fd_.get(), static_cast<off_t>(grown_)) != 0) return fail(ENOMEM);
  u64 address = part.address;
  for (const FileRange& range : file_ranges(part.address, part.size)) {
    if (!range.shared) TRY(share_range({address, range.size}));
    address += range.size;
  }
  return {};
}

Result<void> Arena::share_range(Extent range) {
  const u64 offset = file_offset(range.address);
  // A process that still has these pages from another time may have written to them.
  TRY(punch_hole(shared_fd_, offset, range.size));
  Result<void> moved = copy_pages(fd_, shared_fd_, offset, range.size);
  if (moved) moved = map_range(shared_fd_, range.address, range.size, offset, MAP_FIXED);
  if (!moved) {
    (void)punch_hole(shared_fd_, offset, range.size);
    return moved;
  }
  shared_[range.address] = range.size;
  count_share();
  return {};
}

Result<void> Arena::take_back_shared(Extent extent) {
  for (auto it = first_in(shared_, extent); it != shared_.end(); it = first_in(shared_, extent)) {
    const auto [address, size] = *it;
    TRY(map_range(fd_, address, size, file_offset(address), MAP_FIXED));
    (void)punch_hole(shared_fd_, file_offset(address), size);
    shared_.erase(it);
    count_share();
  }
  return {};
}

std::vector<Extent> Arena::shared() const {
  std::vector<Extent> extents;
  for (const auto& [address, size] : shared_) extents.push_back({address, size});
  return extents;
}

std::vector<FileRange> Arena::file_ranges(u64 address, u64 size) const {
  std::vector<FileRange> ranges;
  const u64 end = address + size;
  while (address != end) {
    const auto mirrored = piece_at(mirrors_, address), shared = piece_at(shared_, address);
    FileRange range{.offset = file_offset(address), .shared = shared.has_value()};
    u64 next = next_piece(shared_, address, next_piece(mirrors_, address, end));
    if (mirrored) range.offset -= mirrored->size;
    if (const auto piece = mirrored ? mirrored : shared) next = std::min(next, piece->address + piece->size);
    range.size = next - address;
    ranges.push_back(range);
    address = next;
  }
  return ranges;
}

}  // namespace bpfemu

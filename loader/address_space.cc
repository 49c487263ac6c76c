// SPDX-License-Identifier: Apache-2.0
#include "loader/address_space.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "emu/base/bytes.h"

namespace bpfemu {
namespace {

constexpr u64 kPage = 4096;
constexpr u64 kReach = u64{1} << 30;  // half of what rel32 reaches: leaves room for the operands' own distance
constexpr u64 kLowest = 0x10000;      // vm.mmap_min_addr of common systems
constexpr size_t kRemembered = 64;

struct MapsLine {
  u64 start, end, offset, ino;
  u32 major, minor;
  char prot[5];
  std::string path;
};

std::vector<MapsLine> read_maps(pid_t pid) {
  std::vector<MapsLine> lines;
  std::ifstream file(fmt::format("/proc/{}/maps", pid));
  for (std::string text; std::getline(file, text);) {
    MapsLine line{};
    int path = 0;
    if (std::sscanf(text.c_str(), "%lx-%lx %4s %lx %x:%x %lu %n", &line.start, &line.end, line.prot, &line.offset,
                    &line.major, &line.minor, &line.ino, &path) < 7)
      continue;
    line.path = text.substr(std::min<size_t>(static_cast<size_t>(path), text.size()));
    lines.push_back(std::move(line));
  }
  return lines;
}

// The device in maps is the inode's own, which on btrfs and some overlays is not what stat says: ask stat by path.
FileId identity(pid_t pid, const MapsLine& line) {
  struct stat st;
  if (::stat(fmt::format("/proc/{}/root{}", pid, line.path).c_str(), &st) == 0 && st.st_ino == line.ino)
    return {st.st_dev, st.st_ino};
  return {makedev(line.major, line.minor), line.ino};
}

}  // namespace

AddressSpace::AddressSpace(pid_t pid)
    : pid_(pid), memory_(::open(fmt::format("/proc/{}/mem", pid).c_str(), O_RDWR | O_CLOEXEC)) {}

std::shared_ptr<AddressSpace> AddressSpace::fork_copy(pid_t child) const {
  auto copy = std::make_shared<AddressSpace>(child);
  copy->mappings_ = mappings_;
  copy->breakpoints_ = breakpoints_;
  copy->moved_ = moved_;
  copy->areas_ = areas_;
  copy->slots_ = slots_;
  return copy;
}

void AddressSpace::refresh() {
  mappings_.clear();
  for (const MapsLine& line : read_maps(pid_))
    if (line.prot[2] == 'x' && line.ino != 0)
      mappings_.push_back({line.start, line.end, line.offset, identity(pid_, line), line.prot[3] == 's'});
  std::erase_if(breakpoints_, [&](const auto& entry) {
    const bool gone = std::none_of(mappings_.begin(), mappings_.end(),
                                   [&](const TextMapping& m) { return entry.first >= m.start && entry.first < m.end; });
    if (gone) moved_[entry.second.site] = entry.second.original;
    return gone;
  });
}

Result<void> AddressSpace::poke(u64 address, const void* bytes, size_t size) {
  // /proc/PID/mem writes through page protection, into a private copy of the page, and needs no stopped thread.
  const ssize_t written = ::pwrite(memory_.get(), bytes, size, static_cast<off_t>(address));
  if (written == static_cast<ssize_t>(size)) return {};
  return fail(written < 0 ? errno : EIO);
}

Result<void> AddressSpace::insert(u64 address, Sites::Id site) {
  const auto mapping = std::find_if(mappings_.begin(), mappings_.end(),
                                    [&](const TextMapping& m) { return address >= m.start && address < m.end; });
  if (mapping == mappings_.end()) return fail(EINVAL);
  if (mapping->shared) return fail(EIO);
  Breakpoint point{.site = site, .original = 0, .plan = {}, .bytes = {}};
  const ssize_t got = ::pread(memory_.get(), point.bytes.data(), kMaxInsnLength, static_cast<off_t>(address));
  if (got <= 0) return fail(got < 0 ? errno : EIO);
  const auto old = breakpoints_.find(address);
  if (old != breakpoints_.end()) {
    // Code that the program has written over ours is its own.
    const bool rewritten = old->second.site == site && point.bytes[0] != old->second.original;
    if (point.bytes[0] == kInt3 || rewritten) return {};
    breakpoints_.erase(old);  // the page was mapped anew
  } else if (const auto moved = moved_.find(site); point.bytes[0] == kInt3 && moved != moved_.end()) {
    point.bytes[0] = moved->second;  // mremap took the page, and our int3 in it, to here
  }
  mask(address, point.bytes.data(), static_cast<size_t>(got));
  point.plan = TRY(plan_step({point.bytes.data(), static_cast<size_t>(got)}));
  point.original = point.bytes[0];
  TRY(poke(address, &kInt3, 1));
  breakpoints_.emplace(address, point);
  return {};
}

void AddressSpace::remove(Sites::Id site) {
  moved_.erase(site);
  for (auto it = breakpoints_.begin(); it != breakpoints_.end();) {
    if (it->second.site != site) {
      ++it;
      continue;
    }
    // Nothing of ours stands there when the process or the mapping is gone, or its code was written anew.
    u8 byte = 0;
    if (::pread(memory_.get(), &byte, 1, static_cast<off_t>(it->first)) == 1 && byte == kInt3)
      (void)poke(it->first, &it->second.original, 1);
    removed_.push_back(it->first);
    it = breakpoints_.erase(it);
  }
  if (removed_.size() > kRemembered) removed_.erase(removed_.begin(), removed_.end() - kRemembered);
}

Breakpoint* AddressSpace::find(u64 address) {
  const auto it = breakpoints_.find(address);
  return it == breakpoints_.end() ? nullptr : &it->second;
}

bool AddressSpace::removed_lately(u64 address) const {
  if (std::find(removed_.begin(), removed_.end(), address) == removed_.end()) return false;
  u8 byte = kInt3;
  return ::pread(memory_.get(), &byte, 1, static_cast<off_t>(address)) == 1 && byte != kInt3;
}

void AddressSpace::mask(u64 address, void* bytes, size_t size) const {
  u8* const out = static_cast<u8*>(bytes);
  for (auto it = breakpoints_.lower_bound(address); it != breakpoints_.end() && it->first - address < size; ++it)
    if (out[it->first - address] == kInt3) out[it->first - address] = it->second.original;
}

u64 AddressSpace::free_range_near(u64 address) const {
  u64 best = 0, end_of_last = kLowest;
  const auto consider = [&](u64 candidate) {
    const auto distance = [&](u64 a) { return a > address ? a - address : address - a; };
    if (distance(candidate) < kReach && (best == 0 || distance(candidate) < distance(best))) best = candidate;
  };
  for (const MapsLine& line : read_maps(pid_)) {
    // The lower end of a gap is where the heap or a guard grows; keep a page away from both sides.
    if (line.start >= end_of_last + 4 * kPage) {
      consider(line.start - 2 * kPage);
      consider(end_of_last + 2 * kPage);
    }
    end_of_last = std::max(end_of_last, line.end);
  }
  return best;
}

Result<AddressSpace::Area*> AddressSpace::area_near(Task& task, u64 address) {
  for (Area& area : areas_) {
    const u64 distance = area.start > address ? area.start - address : address - area.start;
    if (distance < kReach && area.used < kPage / kSlotSize) return &area;
  }
  const u64 hint = free_range_near(address);
  if (hint == 0) return fail(ERANGE);
  const u64 start = TRY(task.call(
      SYS_mmap, {hint, kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, ~u64{0}, 0}));
  std::array<u8, kPage> filler;
  filler.fill(kInt3);
  TRY(poke(start, filler.data(), filler.size()));
  areas_.push_back({start, 1});
  return &areas_.back();
}

Result<u64> AddressSpace::slot_for(Task& task, u64 address, Breakpoint& breakpoint) {
  if (breakpoint.slot != 0) return breakpoint.slot;
  Area* const area = TRY(area_near(task, address));
  const u64 slot = area->start + area->used * kSlotSize;
  const auto code = TRY(build_slot(breakpoint.plan, breakpoint.bytes, address, slot));
  TRY(poke(slot, code.data(), code.size()));
  ++area->used;
  slots_[slot] = address;
  return breakpoint.slot = slot;
}

Result<u64> AddressSpace::return_trampoline(Task& task, u64 near) {
  if (!areas_.empty()) return areas_.front().start;
  return TRY(area_near(task, near))->start;
}

bool AddressSpace::is_return_trampoline(u64 address) const {
  return std::any_of(areas_.begin(), areas_.end(), [&](const Area& a) { return a.start == address; });
}

u64 AddressSpace::address_of_slot(u64 rip, bool* executed) const {
  auto it = slots_.upper_bound(rip);
  if (it == slots_.begin()) return 0;
  --it;
  if (rip - it->first >= kSlotSize) return 0;
  *executed = rip != it->first;
  return it->second;
}

}  // namespace bpfemu

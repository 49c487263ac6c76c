// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/map_mmap.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "emu/base/bytes.h"
#include "emu/syscalls/bpf.h"

namespace bpfemu {

namespace {

constexpr u32 kMapTypeMask = 0x0f;  // MAP_TYPE: MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE
constexpr u32 kKnownFlags = MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE |
                            MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK |
                            MAP_HUGETLB | MAP_32BIT;  // kernel: LEGACY_MAP_MASK

// Maps pieces of one of the arena's files; for reading, so that nobody can make the pages writable.
Result<u64> map_pieces(System& system, Task& task, bool writable, bool shared, std::span<const FilePiece> pieces) {
  if (writable) return task.map_file(shared ? system.arena->shared_fd() : system.arena->fd(), pieces);
  const UniqueFd reopened = TRY(system.arena->for_reading(shared));
  return task.map_file(reopened.get(), pieces);
}

Result<void> check_ring_mmap(const MapObject& map, const MmapRequest& request) {
  // The consumer's page is the first; the tool may write it in a ring that programs fill, and all but it in one that
  // the tool fills.
  bool user_ring = map.map().type == BPF_MAP_TYPE_USER_RINGBUF;
  if (!request.write()) return {};
  if (user_ring ? request.offset == 0 : request.offset != 0 || request.size != kPageSize) return fail(EPERM);
  return {};
}

}  // namespace

MmapRequest::MmapRequest(const Call& call)
    : address(call.args[0]),
      size(round_up(call.args[1], kPageSize)),
      prot(static_cast<u32>(call.args[2])),
      flags(static_cast<u32>(call.args[3])),
      offset(call.args[5]) {}

bool MmapRequest::write() const { return prot & PROT_WRITE; }
bool MmapRequest::shared() const { return (flags & kMapTypeMask) != MAP_PRIVATE; }

Result<void> MmapRequest::check(u32 mode) const {
  if (offset % kPageSize != 0 || size == 0) return fail(EINVAL);
  if (offset + size < offset) return fail(EOVERFLOW);
  u32 type = flags & kMapTypeMask;
  if (type == MAP_SHARED_VALIDATE && (flags & ~(kKnownFlags | MAP_SHARED_VALIDATE))) return fail(EOPNOTSUPP);
  if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE) return fail(EINVAL);
  if (shared() && write() && !(mode & kModeWrite)) return fail(EACCES);
  if (!(mode & kModeRead)) return fail(EACCES);
  return {};
}

Result<u64> map_arena(System& system, Task& task, const MmapRequest& request, u64 arena_address) {
  if (system.arena->fd() < 0) {
    system.unmodelled.note("mapped maps and buffers under a limit on the size of files");
    return fail(ENOMEM);
  }
  system.arena_mapped = true;
  u64 flags = (request.flags & ~kMapTypeMask) | MAP_SHARED;
  auto ranges = system.arena->file_ranges(arena_address, request.size);
  if (ranges.empty()) return fail(EINVAL);
  if (ranges.size() == 1) {
    const FilePiece whole{request.address, request.size, request.prot, flags, ranges[0].offset};
    return map_pieces(system, task, request.write(), ranges[0].shared, {&whole, 1});
  }

  u64 reserve_flags = (request.flags & ~(kMapTypeMask | MAP_POPULATE)) | MAP_PRIVATE | MAP_ANONYMOUS;
  u64 base = TRY(task.call(SYS_mmap, {request.address, request.size, PROT_NONE, reserve_flags, ~u64{0}, 0}));
  std::vector<FilePiece> pieces[2];  // of the arena's file, of the shared one
  u64 at = base;
  for (const FileRange& range : ranges) {
    pieces[range.shared].push_back({at, range.size, request.prot, flags | MAP_FIXED, range.offset});
    at += range.size;
  }
  for (const bool shared : {false, true}) {
    if (pieces[shared].empty()) continue;
    if (auto mapped = map_pieces(system, task, request.write(), shared, pieces[shared]); !mapped) {
      (void)task.call(SYS_munmap, {base, request.size, 0, 0, 0, 0});
      return mapped;
    }
  }
  return base;
}

Result<u64> mmap_map(System& system, Call& call, MapObject& map, u32 mode) {
  MmapRequest request(call);
  TRY(request.check(mode));
  u64 area_offset, area_size;
  if (!map.ops().mmap_area || map.spin_lock_offset || map.timer_offset || !map.kptrs.empty()) return fail(ENOTSUPP);
  // Through a descriptor that cannot write, the kernel takes a shared mapping for a private one.
  if (!request.shared() || !(mode & kModeWrite)) return fail(EINVAL);
  if (request.write() && map.frozen) return fail(EPERM);
  if (request.write() && (map.map().flags & BPF_F_RDONLY_PROG)) return fail(EACCES);
  if (has_trait(map.map(), kRing)) TRY(check_ring_mmap(map, request));
  TRY(from_return(map.ops().mmap_area(map.map(), &area_offset, &area_size)));
  if (request.offset + request.size > area_size) return fail(EINVAL);

  u64 area = reinterpret_cast<u64>(&map.map()) + area_offset;
  u64 address = TRY(map_arena(system, call.task, request, area + request.offset));
  if (request.write()) map.writers = 1;
  return address;
}

std::vector<ArenaMapping> arena_mappings(System& system, pid_t group) {
  std::vector<ArenaMapping> mappings;
  struct stat arena, values;
  if (!system.arena_mapped || fstat(system.arena->fd(), &arena) != 0) return mappings;
  if (fstat(system.arena->shared_fd(), &values) != 0) values = arena;
  std::string path = "/proc/" + std::to_string(group) + "/maps";
  std::FILE* maps = std::fopen(path.c_str(), "re");
  if (!maps) return mappings;
  char line[4096];
  while (std::fgets(line, sizeof line, maps)) {
    unsigned long start, end, offset, inode;
    char protection[8];
    if (std::sscanf(line, "%lx-%lx %7s %lx %*s %lu", &start, &end, protection, &offset, &inode) != 5) continue;
    // The supervisor's own mapping is the arena as a whole.
    bool own = start >= kArenaBase && end <= kArenaBase + kArenaSpan;
    if (!own && (inode == arena.st_ino || inode == values.st_ino)) mappings.push_back({start, end, offset, protection[1] == 'w'});
  }
  std::fclose(maps);
  return mappings;
}

ArenaMappings::ArenaMappings(System& system) : arena_(*system.arena) {
  for (pid_t group : system.host.thread_groups()) {
    for (const ArenaMapping& mapping : arena_mappings(system, group)) {
      ranges_.push_back({mapping.offset, mapping.offset + (mapping.end - mapping.start), mapping.start, mapping.writable});
    }
  }
}

bool ArenaMappings::overlaps(Extent extent, bool writable) const {
  u64 first = arena_.file_offset(extent.address), last = first + extent.size;
  return std::ranges::any_of(ranges_, [&](const Range& range) {
    return range.first < last && range.last > first && (range.writable || !writable);
  });
}

bool ArenaMappings::any_at(Extent extent, u64 address) const {
  const u64 first = arena_.file_offset(extent.address), last = first + extent.size;
  return std::ranges::any_of(ranges_, [&](const Range& range) {
    const u64 there = range.first + (address - range.start);
    return address >= range.start && there < range.last && there >= first && there < last;
  });
}

void release_unmapped(System& system) {
  if (system.files.held() == 0) return;
  ArenaMappings mappings(system);
  system.files.release_unmapped([&](Extent extent) { return mappings.any(extent); });
}

}  // namespace bpfemu

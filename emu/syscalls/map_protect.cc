// SPDX-License-Identifier: Apache-2.0
// What cannot be done to mappings of maps and rings afterwards (kernel: bpf_map_mmap clears VM_MAYEXEC,
// remap_vmalloc_range and perf_mmap set VM_DONTEXPAND). The kernel below us sees shared pages of a plain file.
#include <sys/mman.h>

#include "emu/base/bytes.h"
#include "emu/syscalls/handlers.h"
#include "emu/syscalls/map_mmap.h"

namespace bpfemu {

namespace {

bool overlaps(u64 start, u64 end, u64 other_start, u64 other_end) { return start < other_end && other_start < end; }

// Does the part of the arena's files belong to a map, rather than a perf buffer?
bool of_map(System& system, const ArenaMapping& mapping) {
  for (auto id = system.maps.next(0); id; id = system.maps.next(*id)) {
    auto map = system.maps.find(*id);
    if (!map) continue;
    Extent extent = (*map)->extent();
    u64 first = system.arena->file_offset(extent.address);
    if (overlaps(mapping.offset, mapping.offset + (mapping.end - mapping.start), first, first + extent.size)) return true;
  }
  return false;
}

}  // namespace

Reply enter_mprotect(System& system, Call& call) {
  u64 start = call.args[0], end = start + round_up(call.args[1], kPageSize);
  if (!(call.args[2] & PROT_EXEC) || start % kPageSize) return Reply::native();
  for (const ArenaMapping& mapping : arena_mappings(system, call.task.tgid())) {
    if (overlaps(mapping.start, mapping.end, start, end) && of_map(system, mapping)) return Reply::answer(-EACCES);
  }
  return Reply::native();
}

Reply enter_mremap(System& system, Call& call) {
  u64 start = call.args[0], old_size = round_up(call.args[1], kPageSize), new_size = round_up(call.args[2], kPageSize);
  u64 flags = call.args[3];
  constexpr u64 kKnown = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
  bool malformed = start % kPageSize || new_size == 0 || (flags & ~kKnown) ||
                   (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(flags & MREMAP_MAYMOVE));
  if (malformed || (new_size <= old_size && !(flags & MREMAP_DONTUNMAP))) return Reply::native();
  for (const ArenaMapping& mapping : arena_mappings(system, call.task.tgid())) {
    if (start >= mapping.start && start < mapping.end) {
      return Reply::answer(flags & MREMAP_DONTUNMAP ? -EINVAL : -EFAULT);
    }
  }
  return Reply::native();
}

}  // namespace bpfemu

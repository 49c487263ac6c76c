// SPDX-License-Identifier: Apache-2.0
// brk, mremap, shmat and shmdt.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "emu/base/proc_files.h"
#include "emu/hook/areas.h"
#include "emu/hook/binprm.h"
#include "emu/hook/paths.h"

namespace bpfemu {

namespace {

void pass_place(Transit& call, u64 at) {
  call.ask(Hook::security_mmap_addr, [at](Arguments& a) { a[0] = at; });
}

// An `uf` of the kernel's, a list on the stack, is empty.
void pass_munmap(Transit& call, u64 start, u64 size) {
  call.enter(Hook::do_munmap,
             [&](Arguments& a) {
               a.lazily(0, [&] { return task_member(call, "mm"); });
               a[1] = start;
               a[2] = size;
             })
      .leave(0);
}

u64 mapped_size(Transit& call, u64 at) {
  const auto areas = areas_in(call.task().tid(), at, at + 1);
  return areas.empty() ? 0 : areas.front().end - at;
}

// How large the segment is that the call names; none: it may not be looked at. The task itself asks.
std::optional<u64> segment_size(Transit& call) {
  shmid_ds segment;
  const auto room = call.task().scratch(sizeof segment);
  if (!room || !call.task().call(SYS_shmctl, {call.arg(0), IPC_STAT, *room})) return std::nullopt;
  if (!call.task().read(*room, &segment, sizeof segment)) return std::nullopt;
  return segment.shm_segsz;
}

// May the heap end there (kernel: check_data_rlimit)? /proc/PID/stat has where data and heap begin.
bool heap_allows(Transit& call, u64 end) {
  constexpr size_t kStartData = 42, kEndData = 43, kStartHeap = 44;  // behind the name: 45, 46 and 47 in proc(5)
  const std::string stat = read_proc(call.task().tid(), "stat").value_or("");
  const auto fields = stat_fields(stat);
  rlimit limit;
  if (fields.size() <= kStartHeap || ::prlimit(call.task().tid(), RLIMIT_DATA, nullptr, &limit) != 0) return true;
  const auto number = [&](size_t n) { return ::strtoull(std::string(fields[n]).c_str(), nullptr, 10); };
  const u64 start = number(kStartHeap);
  if (end < start) return false;
  return limit.rlim_cur == RLIM_INFINITY || end - start + number(kEndData) - number(kStartData) <= limit.rlim_cur;
}

}  // namespace

// brk: a heap that grows by pages is asked about. What is denied leaves the end where it was.
Path moving_heap_end(Transit& call) {
  const u64 wanted = call.arg(0);
  const auto end = call.task().call(SYS_brk, {0});
  if (!end) co_return;
  const u64 from = whole_pages(*end), to = whole_pages(wanted);
  const bool grows =
      wanted > *end && to > from && is_possible_place(from, to - from) && heap_allows(call, wanted);
  if (grows) pass_place(call, from);
  if (call.denial()) call.deny_with(static_cast<s64>(*end));
  const s64 result = co_await call.done();
  if (!grows || static_cast<u64>(result) != wanted) co_return;
  call.enter(Hook::do_brk_flags,
             [&](Arguments& a) {
               a.lazily(0, [&] { return local(call, "ma_state").address(); });
               a.lazily(1, [&] { return local(call, "vm_area_struct").address(); });
               a[2] = from;
               a[3] = to - from;
             })
      .leave(0);
}

// mremap: what moves is unmapped where it was, and what was at its new place first.
Path remapping(Transit& call) {
  const u64 at = call.arg(0), flags = call.arg(3);
  u64 old_size = whole_pages(call.arg(1));
  const u64 new_size = whole_pages(call.arg(2)), to = call.arg(4);
  const auto areas = areas_in(call.task().tid(), at, at + std::max<u64>(old_size, 1));
  const bool known = !areas.empty() && areas.front().end >= at + old_size && at % kPageBytes == 0 && new_size;
  const bool apart = at + old_size <= to || to + new_size <= at;
  const bool fixed = known && flags == (MREMAP_FIXED | MREMAP_MAYMOVE) && to % kPageBytes == 0 && apart;
  if (flags & MREMAP_FIXED && flags & MREMAP_DONTUNMAP)
    for (Hook hook : {Hook::security_mmap_addr, Hook::do_munmap}) call.untold(hook);
  if (fixed) {
    pass_munmap(call, to, new_size);
    if (old_size > new_size) pass_munmap(call, at + new_size, old_size - new_size);
    old_size = std::min(old_size, new_size);
    pass_place(call, to);
    if (call.denial()) (void)call.task().call(SYS_munmap, {to, new_size});
  }
  const s64 result = co_await call.done();
  const u64 now = static_cast<u64>(result);
  if (!known || !is_address(result)) co_return;
  const bool moved = fixed || now != at || flags & MREMAP_DONTUNMAP;
  if (!moved) co_return;
  if (!fixed) pass_place(call, now);
  if (call.denial()) {
    (void)call.task().call(SYS_mremap, {now, new_size, old_size, MREMAP_FIXED | MREMAP_MAYMOVE, at});
    co_return;
  }
  if (!(flags & MREMAP_DONTUNMAP)) pass_munmap(call, at, old_size);
}

// shmat. Its file is one of the kernel's own mounts, which is not looked at.
Path attaching_memory(Transit& call) {
  const int wanted = static_cast<int>(call.arg(2));
  const bool placed = call.arg(1) != 0, rounds = wanted & SHM_RND;
  const bool possible = placed ? rounds || call.arg(1) % kPageBytes == 0 : !(wanted & SHM_REMAP);
  const auto size = segment_size(call);
  if (!possible || !size) co_return;
  const u64 at = call.arg(1) & ~(kPageBytes - 1), flags = MAP_SHARED | (placed ? MAP_FIXED : 0);
  const u64 prot = PROT_READ | (wanted & SHM_RDONLY ? 0 : PROT_WRITE) | (wanted & SHM_EXEC ? PROT_EXEC : 0);
  const auto file = [&] {
    call.services().unmodelled.note("the struct file of shared memory");
    return u64{0};
  };
  pass_mmap_file(call, file, prot, flags);
  const s64 result = co_await call.done();
  if (!is_address(result)) co_return;
  const Passing do_mmap = call.enter(Hook::do_mmap, [&](Arguments& a) {
    a.lazily(0, file);
    a[1] = at;
    a[2] = *size;
    a[3] = prot;
    a[4] = flags;
  });
  pass_place(call, static_cast<u64>(result));
  do_mmap.leave(call.denial().value_or(result));
  if (call.denial()) (void)call.task().call(SYS_shmdt, {static_cast<u64>(result)});
}

// shmdt: each of the segment's mappings goes, as it lies there.
Path detaching_memory(Transit& call) {
  const u64 at = call.arg(0);
  const u64 size = mapped_size(call, at);
  if (co_await call.done() == 0) pass_munmap(call, at, size);
}

}  // namespace bpfemu

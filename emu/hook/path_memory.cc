// SPDX-License-Identifier: Apache-2.0
// Calls on the address space.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstdio>
#include <optional>
#include <vector>

#include "emu/base/proc_files.h"
#include "emu/hook/binprm.h"
#include "emu/hook/lookup.h"
#include "emu/hook/paths.h"

namespace bpfemu {

namespace {

constexpr u64 kPageBytes = 4096;

// A line of /proc/PID/maps.
struct Area {
  u64 start = 0, end = 0, offset = 0, inode = 0;
  u64 flags = 0;  // kernel: VM_*
  std::string path = {};
};

std::optional<Area> parse_area(const std::string& line) {
  Area area;
  char rights[5];
  int path = 0;
  if (::sscanf(line.c_str(), "%lx-%lx %4s %lx %*s %lu %n", &area.start, &area.end, rights, &area.offset, &area.inode,
               &path) != 5)
    return std::nullopt;
  constexpr u64 kRead = 1, kWrite = 2, kExec = 4, kShared = 8, kMay = 0x70;
  area.flags = kMay | (rights[0] == 'r' ? kRead : 0) | (rights[1] == 'w' ? kWrite : 0) |
               (rights[2] == 'x' ? kExec : 0) | (rights[3] == 's' ? kShared | kShared << 4 : 0);
  if (path) area.path = line.substr(static_cast<size_t>(path));
  return area;
}

// Those that lie in [start, end), without a gap in front of them.
std::vector<Area> areas_in(pid_t tid, u64 start, u64 end) {
  std::vector<Area> found;
  const std::string maps = read_proc(tid, "maps").value_or("");
  for (size_t at = 0; at < maps.size() && start < end;) {
    const size_t next = std::min(maps.find('\n', at), maps.size());
    const auto area = parse_area(maps.substr(at, next - at));
    at = next + 1;
    if (!area || area->end <= start) continue;
    if (area->start > start) break;
    start = area->end;
    found.push_back(*area);
  }
  return found;
}

u64 vm_area(Transit& call, const Area& area) {
  const KernelObject vma = local(call, "vm_area_struct");
  vma.set("vm_start", area.start);
  vma.set("vm_end", area.end);
  vma.set("vm_mm", task_member(call, "mm"));
  vma.set("vm_flags", area.flags);
  vma.set("vm_pgoff", area.offset / kPageBytes);
  if (area.inode) {
    Lookup at(call, area.path);
    if (const FileFacts* file = at.target()) vma.set("vm_file", call.services().files.file(*file).address());
  }
  return vma.address();
}

// kernel: vm_mmap_pgoff. `file`: 0 for what is nobody's.
void pass_mmap_file(Transit& call) {
  const u64 prot = call.arg(2), flags = call.arg(3);
  std::optional<OpenFile> file;
  if (!(flags & MAP_ANONYMOUS) && !file.emplace(call, call.arg(4)).usable()) return;
  auto address = [&] { return file ? file->address() : u64{0}; };
  call.ask(
      Hook::security_mmap_file,
      [&](Arguments& a) {
        a.lazily(0, address);
        a[1] = prot;
        a[2] = flags;
      },
      [&](Arguments& a) {
        a.lazily(0, address);
        a[1] = a[2] = prot;
        a[3] = flags;
      });
}

}  // namespace

// mmap: ksys_mmap_pgoff takes the offset in pages; others are refused before it.
Path mapping(Transit& call) {
  if (call.arg(5) % kPageBytes != 0) co_return;
  const Passing ksys_mmap_pgoff = call.enter(Hook::ksys_mmap_pgoff, [&](Arguments& a) {
    for (u32 n = 0; n < call.args().size(); ++n) a[n] = call.arg(n);
    a[5] = call.arg(5) / kPageBytes;
  });
  pass_mmap_file(call);
  // The place that the kernel finds is asked about when it is known.
  const bool fixed = call.arg(3) & (MAP_FIXED | MAP_FIXED_NOREPLACE);
  const auto pass_place = [&call](u64 at) { call.ask(Hook::security_mmap_addr, [at](Arguments& a) { a[0] = at; }); };
  if (fixed && call.arg(1)) pass_place(call.arg(0));
  s64 result = co_await call.done();
  if (!fixed && (result >= 0 || result < -4095)) {
    pass_place(static_cast<u64>(result));
    if (call.denial()) (void)call.task().call(SYS_munmap, {static_cast<u64>(result), call.arg(1)});
  }
  ksys_mmap_pgoff.leave(call.denial().value_or(result));
}

// brk, mremap, shmat: where it is asked for a place is not told.
Path mapping_otherwise(Transit& call) {
  if (call.number() == SYS_shmat) call.untold(Hook::security_mmap_file);
  const bool asks_where = call.number() == SYS_brk && !call.arg(0);
  if (!asks_where) call.untold(Hook::security_mmap_addr);
  co_return;
}

// mprotect, pkey_mprotect: each area is asked about and changed before the next one.
Path protecting(Transit& call) {
  const u64 start = call.arg(0), size = (call.arg(1) + kPageBytes - 1) & ~(kPageBytes - 1), prot = call.arg(2);
  if (start % kPageBytes || !size || start + size < start || prot & ~u64{PROT_READ | PROT_WRITE | PROT_EXEC}) co_return;
  for (const Area& area : areas_in(call.task().tid(), start, start + size)) {
    const bool allowed = call.ask(Hook::security_file_mprotect, [&](Arguments& a) {
      a.lazily(0, [&] { return vm_area(call, area); });
      a[1] = a[2] = prot;
    });
    if (allowed) continue;
    if (area.start > start) (void)call.task().call(SYS_mprotect, {start, area.start - start, prot});
    co_return;
  }
}

}  // namespace bpfemu

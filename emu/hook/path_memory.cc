// SPDX-License-Identifier: Apache-2.0
// mmap and mprotect.
#include <sys/mman.h>
#include <sys/syscall.h>

#include <optional>

#include "emu/hook/areas.h"
#include "emu/hook/binprm.h"
#include "emu/hook/lookup.h"
#include "emu/hook/paths.h"

namespace bpfemu {

namespace {

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

}  // namespace

// mmap: ksys_mmap_pgoff takes the offset in pages; others are refused before it.
Path mapping(Transit& call) {
  if (call.arg(5) % kPageBytes != 0) co_return;
  const u64 length = call.arg(1), prot = call.arg(2), flags = call.arg(3);
  const auto in_pages = [&](Arguments& a) {
    for (u32 n = 0; n < call.args().size(); ++n) a[n] = call.arg(n);
    a[5] = call.arg(5) / kPageBytes;
  };
  const Passing ksys_mmap_pgoff = call.enter(Hook::ksys_mmap_pgoff, in_pages);
  std::optional<OpenFile> file;
  if (!(flags & MAP_ANONYMOUS) && !file.emplace(call, call.arg(4)).usable()) {
    ksys_mmap_pgoff.leave(co_await call.done());
    co_return;
  }
  if (flags & MAP_HUGETLB)  // it makes a file, and rounds the length
    for (Hook hook : {Hook::vm_mmap_pgoff, Hook::do_mmap, Hook::security_mmap_file}) call.untold(hook);
  const auto address = [&] { return file ? file->address() : u64{0}; };
  const auto of_file = [&](Arguments& a) {
    in_pages(a);
    a.lazily(0, address);
    a[1] = call.arg(0);
    a[2] = length;
    a[3] = prot;
    a[4] = flags;
  };
  const Passing vm_mmap_pgoff = call.enter(Hook::vm_mmap_pgoff, of_file);
  pass_mmap_file(call, address, prot, flags);
  const Passing do_mmap = call.enter(Hook::do_mmap, of_file);
  // The place that the kernel finds is asked about when it is known.
  const bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
  const auto pass_place = [&call](u64 at) { call.ask(Hook::security_mmap_addr, [at](Arguments& a) { a[0] = at; }); };
  if (fixed && length && is_possible_place(call.arg(0), whole_pages(length))) pass_place(call.arg(0));
  s64 result = co_await call.done();
  if (!fixed && is_address(result)) {
    pass_place(static_cast<u64>(result));
    if (call.denial()) (void)call.task().call(SYS_munmap, {static_cast<u64>(result), length});
  }
  result = call.denial().value_or(result);
  do_mmap.leave(result);
  vm_mmap_pgoff.leave(result);
  ksys_mmap_pgoff.leave(result);
}

// mprotect, pkey_mprotect: each area is asked about and changed before the next one.
Path protecting(Transit& call) {
  const u64 start = call.arg(0), size = whole_pages(call.arg(1)), prot = call.arg(2);
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

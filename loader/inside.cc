// SPDX-License-Identifier: Apache-2.0
#include "loader/inside.h"

#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>

#include "emu/base/bytes.h"
#include "emu/runtime/inside/map_index.h"
#include "loader/call_site.h"
#include "loader/proc_files.h"

namespace bpfemu {

namespace {

// The arena grows behind its end, and the process sees it do so.
constexpr u64 kSeenStep = u64{4} << 30;
constexpr u64 kHwcap2FsGsBase = 2;  // asm/hwcap2.h
constexpr u64 kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;

const InsideHead& head() { return image_head(); }

bool in_slots(u64 rsp) {
  return rsp - kInsideSlots < kInsideSlotsEnd - kInsideSlots;
}
u64 slot_of(u64 rsp) { return round_down(rsp, kInsideSlotSize); }

bool in_image(u64 rip) { return rip - kInsideImage < image_bytes().size(); }

void restore(PtRegs& regs, const InsideSlot& slot) {
  regs.rdi = slot.rdi, regs.rsi = slot.rsi, regs.rdx = slot.rdx;
  regs.r10 = slot.r10, regs.r8 = slot.r8, regs.r9 = slot.r9;
  regs.rbx = slot.rbx, regs.rbp = slot.rbp, regs.rsp = slot.rsp;
  regs.r12 = slot.r12, regs.r13 = slot.r13, regs.r14 = slot.r14, regs.r15 = slot.r15;
}

void give_back(SpaceMemory& memory, u64 slot) {
  static_assert(offsetof(InsideSlot, told) == offsetof(InsideSlot, busy) + sizeof(u32));
  constexpr u64 free = 0;
  (void)memory.write(slot + offsetof(InsideSlot, busy), &free, sizeof free);
}

bool read_slot(SpaceMemory& memory, u64 rsp, InsideSlot& slot) {
  return memory.read(slot_of(rsp), &slot, sizeof slot) == sizeof slot;
}

bool same(const Extent& a, const Extent& b) { return a.address == b.address && a.size == b.size; }

bool has(const std::vector<Extent>& list, const Extent& extent) {
  return std::ranges::any_of(list, [&](const Extent& each) { return same(each, extent); });
}

FilePiece piece_of(const Arena& arena, const Extent& extent, u64 protection) {
  return {extent.address, extent.size, protection, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
          arena.file_offset(extent.address)};
}

}  // namespace

bool InsideView::tells(long number) const {
  if (!events || number < 0 || number >= static_cast<long>(InsideEvents::kNumbers)) return false;
  const InsideCall* const call = events->calls[number];
  return call && call != kAsks;
}

u64 inside_entry() {
  return kInsideImage + head().entry;
}

Result<void> Inside::map(Task& task, SpaceMemory& memory, const InsideView& view) {
  if (mapped_) return {};
  if (!view.arena || !view.maps) return fail(ENOENT);
  const UniqueFd arena = TRY(view.arena->for_reading(false));
  state_.arena_end = kArenaBase + round_up(view.arena->end() - kArenaBase, kSeenStep);
  const FilePiece piece{kArenaBase, state_.arena_end - kArenaBase, PROT_READ | PROT_EXEC,
                        MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, 0};
  TRY(task.call(SYS_mmap, {kInsideImage, round_up(image_bytes().size(), kPageSize), PROT_READ | PROT_EXEC, kAnonymous,
                           ~u64{0}, 0}));
  TRY(task.call(SYS_mmap, {kInsideState, kInsideEnd - kInsideState, PROT_READ | PROT_WRITE, kAnonymous, ~u64{0}, 0}));
  if (TRY(task.map_file(arena.get(), {&piece, 1})) != kArenaBase) return fail(EEXIST);
  TRY(memory.write(kInsideImage, image_bytes().data(), image_bytes().size()));
  TRY(map_shared(task, view));
  TRY(put_state(memory, view, task.tid()));
  mapped_ = true;
  return {};
}

// What is shared no longer is looked at as the rest is.
Result<void> Inside::map_shared(Task& task, const InsideView& view) {
  const std::vector<Extent> now = view.arena->shared();
  std::vector<FilePiece> gone, come;
  for (const Extent& extent : shared_)
    if (!has(now, extent)) gone.push_back(piece_of(*view.arena, extent, PROT_READ | PROT_EXEC));
  for (const Extent& extent : now)
    if (!has(shared_, extent)) come.push_back(piece_of(*view.arena, extent, PROT_READ | PROT_WRITE));
  if (!gone.empty()) {
    const UniqueFd arena = TRY(view.arena->for_reading(false));
    TRY(task.map_file(arena.get(), gone));
  }
  if (!come.empty()) TRY(task.map_file(view.arena->shared_fd(), come));
  shared_ = now;
  return {};
}

Result<void> Inside::put_state(SpaceMemory& memory, const InsideView& view, pid_t tid) {
  const Result<TaskFacts> facts = read_facts(tid);
  state_.shares = view.arena->shares();
  state_.maps = view.maps;
  state_.events = view.events;
  state_.keeps_ids = ::getauxval(AT_HWCAP2) & kHwcap2FsGsBase;
  state_.plain_ids = facts && (facts->local_tid == 0 || facts->local_tid == tid);
  return memory.write(kInsideState, &state_, sizeof state_);
}

bool Inside::sees(const InsideView& view) const {
  return !mapped_ || !view.arena || (state_.shares == view.arena->shares() && state_.events == view.events);
}

void Inside::see(Task& task, SpaceMemory& memory, const InsideView& view) {
  if (sees(view) || !map_shared(task, view)) return;
  (void)put_state(memory, view, task.tid());
}

// It had taken one, and run nothing yet.
void Inside::free_seat(const InsideSlot& slot) const {
  CpuSeat* const seats = state_.events ? state_.events->seats : state_.maps->seats;
  if (!seats || slot.seat == 0 || slot.seat > state_.maps->cpus) return;
  CpuSeat& seat = seats[slot.seat - 1];
  if (seat.holder == slot.tid) leave_seat(seat);
}

std::optional<StubSide> Inside::leave(SpaceMemory& memory, PtRegs& regs) const {
  const bool on_slot = in_slots(regs.rsp);
  if (!mapped_ || !(in_image(regs.rip) || (on_slot && in_arena(regs.rip, 1)))) return std::nullopt;
  const u64 at = regs.rip - kInsideImage;
  u64 from = regs.rax;  // until it runs on its own stack
  u64 result = 0;
  bool asked = false, told = false;
  if (on_slot) {
    InsideSlot slot;
    if (!read_slot(memory, regs.rsp, slot)) return std::nullopt;
    told = slot.told;
    const bool done = (at >= head().checked && at <= head().released) || (at >= head().parting && at <= head().parted);
    if (told && !done) return StubSide::kRunning;
    asked = at == head().asked && static_cast<s64>(regs.orig_rax) == SYS_fstat && static_cast<s64>(regs.rax) == -ENOSYS;
    from = slot.from;
    result = slot.rax;
    if (!told) free_seat(slot);
    if (at < head().taken || at >= head().running) regs.eflags = slot.flags;
    const u64 address = slot_of(regs.rsp);
    restore(regs, slot);
    give_back(memory, address);
  } else if (at == head().left || at == head().released || at == head().refused) {
    if (at == head().left) give_back(memory, regs.r11);
    regs.rip = regs.rcx;
    if (is_of_stub(regs.rip)) return std::nullopt;
    return regs.rax == SYS_bpf ? StubSide::kBefore : StubSide::kAfter;
  } else if (at >= head().taken || (at == head().taking && regs.rcx == 0)) {
    give_back(memory, regs.r11);
  }
  regs.orig_rax = asked ? u64{SYS_bpf} : ~u64{0};
  if (is_of_stub(from)) {
    regs.rip = told ? from : from - kInsideAskSize;
    return std::nullopt;
  }
  regs.rip = regs.rcx = from;
  if (told) regs.rax = result;
  if (asked || told) return StubSide::kAfter;
  regs.rip -= kCallSize;
  regs.rax = SYS_bpf;
  return StubSide::kBefore;
}

bool Inside::let_leave(SpaceMemory& memory, u64 rsp) const {
  constexpr u32 leaves = 1;
  InsideSlot slot;
  (void)memory.write(slot_of(rsp) + offsetof(InsideSlot, leaves), &leaves, sizeof leaves);
  return read_slot(memory, rsp, slot) && slot.asks_at != 0;
}

void Inside::show(SpaceMemory& memory, PtRegs& regs) const {
  InsideSlot slot;
  if (!in_slots(regs.rsp) || !read_slot(memory, regs.rsp, slot)) return;
  regs.eflags = slot.flags;
  restore(regs, slot);
  regs.rip = slot.from;
  regs.orig_rax = slot.rax;
}

void Inside::settle_fork(SpaceMemory& memory) const {
  for (u64 slot = kInsideSlots; mapped_ && slot < kInsideSlotsEnd; slot += kInsideSlotSize) give_back(memory, slot);
}

}  // namespace bpfemu

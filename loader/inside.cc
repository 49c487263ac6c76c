// SPDX-License-Identifier: Apache-2.0
#include "loader/inside.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <cerrno>

#include "emu/base/bytes.h"
#include "loader/call_site.h"

extern "C" const unsigned char bpfemu_inside_image[];
extern "C" const unsigned long bpfemu_inside_image_size;

namespace bpfemu {

namespace {

// The arena grows behind its end, and the process sees it do so.
constexpr u64 kSeenStep = u64{4} << 30;
constexpr u64 kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;

const InsideHead& head() {
  static const InsideHead head = load<InsideHead>(bpfemu_inside_image);
  return head;
}

bool in_slots(u64 rsp) {
  return rsp - kInsideSlots < kInsideEnd - kInsideSlots;
}

void restore(PtRegs& regs, const InsideSlot& slot) {
  regs.rdi = slot.rdi, regs.rsi = slot.rsi, regs.rdx = slot.rdx;
  regs.r10 = slot.r10, regs.r8 = slot.r8, regs.r9 = slot.r9;
  regs.rbx = slot.rbx, regs.rbp = slot.rbp, regs.rsp = slot.rsp;
  regs.r12 = slot.r12, regs.r13 = slot.r13, regs.r14 = slot.r14, regs.r15 = slot.r15;
}

void give_back(SpaceMemory& memory, u64 slot) {
  constexpr u32 free = 0;
  (void)memory.write(slot + offsetof(InsideSlot, busy), &free, sizeof free);
}

}  // namespace

std::span<const u8> image_bytes() {
  return {bpfemu_inside_image, bpfemu_inside_image_size};
}

u64 inside_entry() {
  return kInsideImage + head().entry;
}

Result<void> Inside::map(Task& task, SpaceMemory& memory, const InsideView& view) {
  if (mapped_) return {};
  if (!view.arena || !view.maps) return fail(ENOENT);
  const UniqueFd arena = TRY(view.arena->for_reading());
  const InsideState state{kArenaBase + round_up(view.arena->end() - kArenaBase, kSeenStep), view.maps};
  const FilePiece piece{kArenaBase, state.arena_end - kArenaBase, PROT_READ,
                        MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, 0};
  TRY(task.call(SYS_mmap, {kInsideImage, round_up(image_bytes().size(), kPageSize), PROT_READ | PROT_EXEC, kAnonymous,
                           ~u64{0}, 0}));
  TRY(task.call(SYS_mmap, {kInsideState, kInsideEnd - kInsideState, PROT_READ | PROT_WRITE, kAnonymous, ~u64{0}, 0}));
  if (TRY(task.map_file(arena.get(), {&piece, 1})) != kArenaBase) return fail(EEXIST);
  TRY(memory.write(kInsideImage, image_bytes().data(), image_bytes().size()));
  TRY(memory.write(kInsideState, &state, sizeof state));
  mapped_ = true;
  return {};
}

std::optional<StubSide> Inside::leave(SpaceMemory& memory, PtRegs& regs) const {
  if (!mapped_ || regs.rip - kInsideImage >= image_bytes().size()) return std::nullopt;
  const u64 at = regs.rip - kInsideImage;
  u64 resume = regs.rax;  // until it runs on its own stack
  bool asked = false;
  if (in_slots(regs.rsp)) {
    const u64 address = round_down(regs.rsp, kInsideSlotSize);
    InsideSlot slot;
    if (memory.read(address, &slot, sizeof slot) != sizeof slot) return std::nullopt;
    asked = at == head().asked && static_cast<s64>(regs.orig_rax) == SYS_fstat && static_cast<s64>(regs.rax) == -ENOSYS;
    resume = slot.rip;
    if (at < head().taken || at >= head().running) regs.eflags = slot.flags;
    restore(regs, slot);
    give_back(memory, address);
  } else if (at == head().left || at == head().released) {
    if (at == head().left) give_back(memory, regs.r11);
    regs.rip = regs.rcx;
    return regs.rax == SYS_bpf ? StubSide::kBefore : StubSide::kAfter;
  } else if (at >= head().taken || (at == head().taking && regs.rcx == 0)) {
    give_back(memory, regs.r11);
  }
  regs.rip = regs.rcx = resume;
  regs.orig_rax = asked ? u64{SYS_bpf} : ~u64{0};
  if (asked) return StubSide::kAfter;
  regs.rip -= kCallSize;
  regs.rax = SYS_bpf;
  return StubSide::kBefore;
}

void Inside::settle_fork(SpaceMemory& memory) const {
  for (u64 slot = kInsideSlots; mapped_ && slot < kInsideEnd; slot += kInsideSlotSize) give_back(memory, slot);
}

}  // namespace bpfemu

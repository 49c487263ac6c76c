// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/inside/seating.h"

#include <sys/syscall.h>

namespace bpfemu {

namespace {

constexpr u32 kTries = 64;

// The real CPU, as the kernel leaves it for the vDSO.
u32 this_cpu() {
  constexpr u32 kCpuSelector = 0x7b, kCpuBits = 0xfff;
  u32 limit = 0;
  asm("lsl %1, %0" : "=r"(limit) : "r"(kCpuSelector) : "cc");
  return limit & kCpuBits;
}

u64 gs_base() {
  u64 base;
  asm volatile("rdgsbase %0" : "=r"(base));
  return base;
}

void keep_ids(const InsideThread& ids) {
  auto* const threads = reinterpret_cast<InsideThread*>(kInsideThreads);
  const u32 place = __atomic_add_fetch(&threads[0].tid, 1, __ATOMIC_RELAXED);
  if (place >= kInsideThreadCount) return;
  threads[place] = ids;
  asm volatile("wrgsbase %0" : : "r"(&threads[place]) : "memory");
}

}  // namespace

InsideThread ids_of_thread(const InsideState& state) {
  const u64 base = state.keeps_ids ? gs_base() : 1;
  if (is_inside_thread(base)) return *reinterpret_cast<const InsideThread*>(base);
  const InsideThread ids = {static_cast<u32>(bpfemu_inside_ask(0, 0, 0, SYS_gettid)),
                            static_cast<u32>(bpfemu_inside_ask(0, 0, 0, SYS_getpid))};
  if (base == 0) keep_ids(ids);
  return ids;
}

Seating::Seating(InsideSlot& slot, CpuSeat* seats, u32 cpus, u32 tid) : slot_(slot), seats_(seats) {
  const u32 wanted = this_cpu();
  slot.tid = tid;
  for (u32 tries = 0; seats && tries < kTries; ++tries) {
    for (u32 i = 0; i < cpus; ++i) {
      const u32 cpu = (wanted + i) % cpus;
      slot.seat = cpu + 1;
      if (take_seat(seats[cpu], tid)) return;
    }
    __builtin_ia32_pause();
  }
  slot.seat = 0;
}

Seating::~Seating() {
  if (slot_.seat == 0) return;
  leave_seat(seats_[slot_.seat - 1]);
  slot_.seat = 0;
}

}  // namespace bpfemu

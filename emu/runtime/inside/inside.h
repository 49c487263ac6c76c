// SPDX-License-Identifier: Apache-2.0
// The image: what is run of the runtime inside of traced processes, in the place of a system call that is answered. It
// is linked by itself (image.ld), lies at the same address everywhere, and sees the arena, which it cannot write to.
//
// Whatever a thread does there has no effect but on the memory that the call is to fill in, and on a slot, which holds
// the registers of the program and the stack. So it may be taken out at any instruction, and then makes the call as
// ever. Runtime code.
#pragma once

#include <stddef.h>

#include "emu/base/types.h"
#include "emu/runtime/inside/offsets.h"

struct stat;

namespace bpfemu {

struct MapIndex;

inline constexpr u64 kInsideImage = 0x550f00100000;  // as image.ld says
inline constexpr u64 kInsideState = INSIDE_STATE, kInsideSlots = INSIDE_SLOTS;
inline constexpr u64 kInsideSlotSize = INSIDE_SLOT_SIZE, kInsideSlotCount = 16;
inline constexpr u64 kInsideEnd = kInsideSlots + kInsideSlotSize * kInsideSlotCount;
static_assert(kInsideEnd == INSIDE_SLOTS_END);

// What the supervisor tells the image of the process.
struct InsideState {
  u64 arena_end;  // of what the process sees of the arena
  const MapIndex* maps;
};

// The registers of a thread that has made a call, as the program has them, and room to work on it. A thread that is
// inside has one.
struct InsideSlot {
  u32 busy, unused[3];
  u64 rip;   // behind the system call
  u64 rax;   // what the thread has there where it goes on
  u64 rdi, rsi, rdx, r10, r8, r9;
  u64 rsp, rbx, rbp, r12, r13, r14, r15;
  u64 flags;
  u64 goes_to;
};
static_assert(offsetof(InsideSlot, busy) == SLOT_BUSY);
static_assert(offsetof(InsideSlot, rip) == SLOT_RIP && offsetof(InsideSlot, rax) == SLOT_RAX);
static_assert(offsetof(InsideSlot, rdi) == SLOT_RDI && offsetof(InsideSlot, r9) == SLOT_R9);
static_assert(offsetof(InsideSlot, r10) == SLOT_R10 && offsetof(InsideSlot, r8) == SLOT_R8);
static_assert(offsetof(InsideSlot, rsp) == SLOT_RSP && offsetof(InsideSlot, rbx) == SLOT_RBX);
static_assert(offsetof(InsideSlot, r12) == SLOT_R12 && offsetof(InsideSlot, r15) == SLOT_R15);
static_assert(offsetof(InsideSlot, flags) == SLOT_FLAGS && offsetof(InsideSlot, goes_to) == SLOT_GOES_TO);
static_assert(INSIDE_STACK % 16 == 0 && INSIDE_STACK < kInsideSlotSize);

// What the image begins with: places in it, from its start.
struct InsideHead {
  u32 entry;     // rax: behind the system call of the site
  u32 taking;    // rcx is 0 if the slot that r11 points to is now the thread's, and it is nobody's before
  u32 taken;     // from here on it is
  u32 running;   // from here on all registers of the program's, and its flags, are in it, and the stack is the slot's
  u32 left;      // the registers are the program's again; rcx: where it goes on
  u32 released;  // and the slot is nobody's
  u32 asked;     // behind the system call that the image itself makes
  u32 end;       // of the code that has these places
};

// The call of the slot's registers, of bpf(): what becomes of it is put there. Not decided: the thread makes it at its
// site.
extern "C" void bpfemu_inside_call(InsideSlot* slot, const InsideState* state);

// fstat(): 0 or -errno.
extern "C" s64 bpfemu_inside_fstat(u32 fd, struct stat* to);

}  // namespace bpfemu

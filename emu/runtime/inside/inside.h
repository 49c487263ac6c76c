// SPDX-License-Identifier: Apache-2.0
// The image: what is run of the runtime inside of traced processes: maps are read and changed in the place of a system call,
// and programs are run as one begins. It is linked by itself (image.ld), lies at the same address everywhere, and sees the
// arena, of which it can write to the values of maps alone.
//
// Before its first program runs, or it changes a map, whatever a thread does there has no effect but on the memory that the
// call is to fill in, and on a slot, which holds the registers of the program and the stack. So it may be taken out at any instruction
// until then (InsideSlot::told), and makes the call as ever. Runtime code.
#pragma once

#include <stddef.h>

#include "emu/base/types.h"
#include "emu/runtime/inside/offsets.h"

namespace bpfemu {

struct InsideEvents;
struct MapIndex;

inline constexpr u64 kInsideImage = 0x550f00100000;  // as image.ld says
inline constexpr u64 kInsideState = INSIDE_STATE, kInsideSlots = INSIDE_SLOTS;
inline constexpr u64 kInsideSlotSize = INSIDE_SLOT_SIZE, kInsideSlotCount = 16;
inline constexpr u64 kInsideSlotsEnd = kInsideSlots + kInsideSlotSize * kInsideSlotCount;
static_assert(kInsideSlotsEnd == INSIDE_SLOTS_END);
inline constexpr u64 kInsideAskSize = INSIDE_ASK_SIZE;

// What the supervisor tells the image of the process.
struct InsideState {
  u64 arena_end;  // of what the process sees of the arena
  u64 shares;     // Arena::shares(), as of when it last saw to it that the process sees them
  const MapIndex* maps;
  const InsideEvents* events;
  bool keeps_ids;  // threads can find theirs by the base of gs
  bool plain_ids;  // the ids that the process knows itself by are those of the tools
};

// The registers of a thread that has made a call, as the program has them, and room to work on it. A thread that is
// inside has one.
struct InsideSlot {
  u32 busy;
  u32 told;    // programs have run, or a map is changed: the thread is not taken out. 0 while nobody has the slot
  u32 leaves;  // set by the supervisor: the thread makes its call at the site, or what it does is its call: it parts
  u32 seat;    // the number + 1 of the one that it holds
  u64 from;    // behind the system call of the site; or, for an event, the one of a stub
  u64 rax;     // what the thread has there where it goes on
  u64 rdi, rsi, rdx, r10, r8, r9;
  u64 rsp, rbx, rbp, r12, r13, r14, r15;
  u64 flags;
  u64 goes_to, asks_at;  // asks_at: where it makes its call, of which programs have been told; 0: it makes none
  u64 tid;  // of who took the seat
};
static_assert(offsetof(InsideSlot, busy) == SLOT_BUSY && offsetof(InsideSlot, leaves) == SLOT_LEAVES);
static_assert(offsetof(InsideSlot, from) == SLOT_FROM && offsetof(InsideSlot, rax) == SLOT_RAX);
static_assert(offsetof(InsideSlot, rdi) == SLOT_RDI && offsetof(InsideSlot, r9) == SLOT_R9);
static_assert(offsetof(InsideSlot, r10) == SLOT_R10 && offsetof(InsideSlot, r8) == SLOT_R8);
static_assert(offsetof(InsideSlot, rsp) == SLOT_RSP && offsetof(InsideSlot, rbx) == SLOT_RBX);
static_assert(offsetof(InsideSlot, r12) == SLOT_R12 && offsetof(InsideSlot, r15) == SLOT_R15);
static_assert(offsetof(InsideSlot, flags) == SLOT_FLAGS && offsetof(InsideSlot, goes_to) == SLOT_GOES_TO);
static_assert(offsetof(InsideSlot, asks_at) == SLOT_ASKS_AT);
static_assert(INSIDE_STACK % 16 == 0 && INSIDE_STACK < kInsideSlotSize);

// InsideSlot::from of an event: the stub's own system call. In front of it lies what makes the call at the site, which
// begins with `mov $NUMBER,%eax`.
inline bool is_of_stub(u64 from) { return from - INSIDE_STUBS < u64{1} << 32; }

// What a thread is called, for as long as it lives: it has the base of gs point there, where that was 0. A new thread has
// its parent's until the supervisor takes it away.
struct InsideThread {
  u32 tid, tgid;
};
inline constexpr u64 kInsideThreads = kInsideSlotsEnd, kInsideThreadCount = 8192;  // the first: how many were given out
inline constexpr u64 kInsideEnd = kInsideThreads + kInsideThreadCount * sizeof(InsideThread);
inline bool is_inside_thread(u64 address) { return address - kInsideThreads < kInsideEnd - kInsideThreads; }

// What the image begins with: places in it, from its start.
struct InsideHead {
  u32 entry;     // rax: InsideSlot::from
  u32 taking;    // rcx is 0 if the slot that r11 points to is now the thread's, and it is nobody's before
  u32 taken;     // from here on it is
  u32 running;   // from here on all registers of the program's, and its flags, are in it, and the stack is the slot's
  u32 checked;   // what `leaves` says from here on comes too late
  u32 left;      // the registers are the program's again; rcx: where it goes on
  u32 released;  // and the slot is nobody's
  u32 refused;   // there was no slot; rcx: where it goes on
  u32 asked;     // behind the system call that the image itself makes
  u32 parting;   // what was told of is done, and the supervisor is to take the thread out
  u32 parted;    // behind the system call for that
  u32 end;       // of the code that has these places
  u32 helpers;   // InsideHelper, as many as there are before one without a function
};

// A helper that programs may call there. `function` is an address of the image's.
struct InsideHelper {
  u64 id, function;
};

// The call of the slot's registers: what becomes of it is put there.
extern "C" void bpfemu_inside_call(InsideSlot* slot, const InsideState* state);
void map_call(InsideSlot& slot, const InsideState& state);
void event_call(InsideSlot& slot, const InsideState& state);

// A system call of up to three arguments.
extern "C" s64 bpfemu_inside_ask(u64 first, u64 second, u64 third, u32 number);

}  // namespace bpfemu

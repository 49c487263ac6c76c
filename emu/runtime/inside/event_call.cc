// SPDX-License-Identifier: Apache-2.0
// A call that programs listen to begins: they run, and then it is made by the stub. Or the supervisor is asked, before
// the first of them has run.
#include <sys/syscall.h>

#include "emu/base/bytes.h"
#include "emu/runtime/inside/events.h"
#include "emu/runtime/inside/inside.h"
#include "emu/runtime/inside/inside_run.h"

namespace bpfemu {

namespace {

constexpr u32 kTries = 64;

// Kernel: struct syscall_trace_enter, of which programs see what lies behind its first eight bytes.
struct Record {
  u64 common, number, arguments[6];
};

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

InsideThread ids_of_thread(const InsideState& state) {
  const u64 base = state.keeps_ids ? gs_base() : 1;
  if (is_inside_thread(base)) return *reinterpret_cast<const InsideThread*>(base);
  const InsideThread ids = {static_cast<u32>(bpfemu_inside_ask(0, 0, 0, SYS_gettid)),
                            static_cast<u32>(bpfemu_inside_ask(0, 0, 0, SYS_getpid))};
  if (base == 0) keep_ids(ids);
  return ids;
}

// False: all are taken, and it may be that those who have them wait for this CPU.
bool sit_down(InsideSlot& slot, const InsideEvents& events, u32 tid) {
  const u32 wanted = this_cpu();
  slot.tid = tid;
  for (u32 tries = 0; tries < kTries; ++tries) {
    for (u32 i = 0; i < events.cpus; ++i) {
      const u32 cpu = (wanted + i) % events.cpus;
      slot.seat = cpu + 1;
      if (take_seat(events.seats[cpu], tid)) return true;
    }
    __builtin_ia32_pause();
  }
  return slot.seat = 0, false;
}

void stand_up(InsideSlot& slot, const InsideEvents& events) {
  leave_seat(events.seats[slot.seat - 1]);
  slot.seat = 0;
}

// What a program finds on its stack where it has written nothing is the same each time.
[[gnu::noinline]] void clear_stack() {
  constexpr u64 kWords = 96;  // of a program without functions of its own, with what lies around it
  u64 words[kWords];
  for (u64& word : words) word = 0;
  asm volatile("" : : "r"(words) : "memory");
}

void run_programs(InsideSlot& slot, const InsideCall& call, u32 number, const InsideThread& ids) {
  Record record = {0, number, {slot.rdi, slot.rsi, slot.rdx, slot.r10, slot.r8, slot.r9}};
  u64 raw[2] = {0, number};
  InsideRun run(slot.seat - 1, ids);
  bool passes = true;
  for (u32 i = 0; i < call.count; ++i) {
    const InsideProgram& program = call.programs[i];
    void* const context = program.context == InsideContext::kRecord ? static_cast<void*>(&record) : raw;
    run.run.program = program.text;
    run.run.context = context;
    run.run.cookie = program.cookie;
    if (program.flags & InsideProgram::kFirst) passes = true;
    clear_stack();
    passes &= program.entry(&run.run, context) != 0;
    if (passes && (program.flags & InsideProgram::kLast) && program.passed) ++program.passed[run.cpu].count;
  }
}

// False: the supervisor is to run them.
bool tell(InsideSlot& slot, const InsideState& state, u32 number) {
  const InsideEvents& events = *state.events;
  const InsideCall* call = __atomic_load_n(&events.calls[number], __ATOMIC_ACQUIRE);
  if (!call) return true;
  if (call == kAsks || !state.plain_ids) return false;
  const InsideThread ids = ids_of_thread(state);
  if (!sit_down(slot, events, ids.tid)) return false;
  // What is listed now stays until the seat is free.
  call = __atomic_load_n(&events.calls[number], __ATOMIC_SEQ_CST);
  const bool sees = call && call != kAsks && call->end <= state.arena_end &&
                    __atomic_load_n(&events.shares, __ATOMIC_ACQUIRE) == state.shares;
  if (sees) {
    __atomic_store_n(&slot.told, 1, __ATOMIC_SEQ_CST);
    run_programs(slot, *call, number, ids);
  }
  stand_up(slot, events);
  return sees || !call;
}

}  // namespace

void event_call(InsideSlot& slot, const InsideState& state) {
  const u64 asks_at = slot.from - kInsideAskSize;
  const u32 number = load<u32>(reinterpret_cast<const u8*>(asks_at) + 1);
  slot.asks_at = asks_at;
  slot.rax = number;
  slot.goes_to = tell(slot, state, number) ? slot.from : asks_at;
}

}  // namespace bpfemu

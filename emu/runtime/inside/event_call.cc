// SPDX-License-Identifier: Apache-2.0
// A call that programs listen to begins: they run, and then it is made by the stub. Or the supervisor is asked, before
// the first of them has run.
#include "emu/base/bytes.h"
#include "emu/runtime/inside/events.h"
#include "emu/runtime/inside/inside.h"
#include "emu/runtime/inside/inside_run.h"
#include "emu/runtime/inside/seating.h"

namespace bpfemu {

namespace {

// Kernel: struct syscall_trace_enter, of which programs see what lies behind its first eight bytes.
struct Record {
  u64 common, number, arguments[6];
};

// What a program finds on its stack where it has written nothing is the same each time.
[[gnu::noinline]] void clear_stack() {
  constexpr u64 kWords = 96;  // of a program without functions of its own, with what lies around it
  u64 words[kWords];
  for (u64& word : words) word = 0;
  asm volatile("" : : "r"(words) : "memory");
}

void run_programs(InsideSlot& slot, const InsideEvents& events, const InsideCall& call, u32 number, const InsideThread& ids) {
  Record record = {0, number, {slot.rdi, slot.rsi, slot.rdx, slot.r10, slot.r8, slot.r9}};
  u64 raw[2] = {0, number};
  InsideRun run(slot.seat - 1, &events.seats[slot.seat - 1], ids);
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
  Seating seating(slot, events.seats, events.cpus, ids.tid);
  if (!seating) return false;
  // What is listed now stays until the seat is free.
  call = __atomic_load_n(&events.calls[number], __ATOMIC_SEQ_CST);
  const bool sees = call && call != kAsks && call->end <= state.arena_end &&
                    __atomic_load_n(events.shares, __ATOMIC_ACQUIRE) == state.shares;
  if (sees) {
    __atomic_store_n(&slot.told, 1, __ATOMIC_SEQ_CST);
    run_programs(slot, events, *call, number, ids);
  }
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

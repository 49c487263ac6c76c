// SPDX-License-Identifier: Apache-2.0
// A program that runs inside of a traced process, and the helpers that it may call there. Runtime code.
#pragma once

#include <initializer_list>

#include "emu/runtime/inside/events.h"
#include "emu/runtime/inside/inside.h"

namespace bpfemu {

struct InsideRun {
  InsideRun(u32 on, CpuSeat* sits, const InsideThread& of) : cpu(on), seat(sits), ids(of) {}
  static InsideRun& of(Run* run) { return *reinterpret_cast<InsideRun*>(run); }

  s64 request(u32 helper, std::initializer_list<u64> arguments) const {
    InsideRequest request = {helper, cpu, {}};
    u64* to = request.arguments;
    for (u64 argument : arguments) *to++ = argument;
    __atomic_store_n(&seat->asks, 1, __ATOMIC_SEQ_CST);
    const s64 result = bpfemu_inside_ask(reinterpret_cast<u64>(&request), 0, 0, kInsideRequestCall);
    __atomic_store_n(&seat->asks, 0, __ATOMIC_SEQ_CST);
    return result;
  }

  Run run = {};  // what JIT code has in r12
  u32 cpu;
  CpuSeat* seat;
  InsideThread ids;
};
static_assert(offsetof(InsideRun, run) == 0);

}  // namespace bpfemu

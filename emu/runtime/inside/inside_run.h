// SPDX-License-Identifier: Apache-2.0
// A program that runs inside of a traced process, and the helpers that it may call there. Runtime code.
#pragma once

#include <initializer_list>

#include "emu/runtime/inside/events.h"
#include "emu/runtime/inside/inside.h"

namespace bpfemu {

struct InsideRun {
  InsideRun(u32 on, const InsideThread& of) : cpu(on), ids(of) {}
  static InsideRun& of(Run* run) { return *reinterpret_cast<InsideRun*>(run); }

  s64 request(u32 helper, std::initializer_list<u64> arguments) const {
    InsideRequest request = {helper, cpu, {}};
    u64* to = request.arguments;
    for (u64 argument : arguments) *to++ = argument;
    return bpfemu_inside_ask(reinterpret_cast<u64>(&request), 0, 0, kInsideRequestCall);
  }

  Run run = {};  // what JIT code has in r12
  u32 cpu;
  InsideThread ids;
};
static_assert(offsetof(InsideRun, run) == 0);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Which programs a thread runs by itself as it makes a call, in the arena. Runtime code.
#pragma once

#include "emu/arena/vcpu.h"
#include "emu/base/types.h"
#include "emu/runtime/inside/offsets.h"
#include "emu/runtime/run.h"

namespace bpfemu {

// The context that a program gets.
enum class InsideContext : u32 {
  kRecord,  // of a trace event: number and arguments
  kRaw,     // of a raw tracepoint: the number, which alone may be looked at
};

// Counted for perf events, in memory that is shared.
struct PassedEvents {
  u64 count;
  u64 unused[7];
};

struct InsideProgram {
  enum Flag : u32 {
    kFirst = 1,  // of its point,
    kLast = 2,   // of its point
  };
  ProgramEntry entry;  // its code for traced processes
  const ProgramText* text;
  u64 cookie;
  PassedEvents* passed;  // by CPU: what all programs of the point have let pass. Null: nobody wants to know
  InsideContext context;
  u32 flags;
};

// All that come by as one call begins, in the order in which they run.
struct InsideCall {
  static constexpr u32 kMost = 64;
  u64 end;  // of what the process must see of the arena
  u32 count;
  InsideProgram programs[kMost];
};

struct InsideEvents {
  static constexpr u32 kNumbers = 512;
  // By number. Null: nobody listens; kAsks: somebody does who is run by the supervisor.
  const InsideCall* calls[kNumbers];
  const u64* shares;  // Arena::shares(): a process that has not seen as many asks
  CpuSeat* seats;
  u32 cpus;
};
inline const InsideCall* const kAsks = reinterpret_cast<const InsideCall*>(1);

// What a program asks the supervisor for in its midst, by a system call of the image's own that the claimed kernel has
// not got. The result is the helper's.
inline constexpr u32 kInsideRequestCall = INSIDE_REQUEST;
struct InsideRequest {
  u32 helper;  // its id
  u32 cpu;
  u64 arguments[4];
};

}  // namespace bpfemu

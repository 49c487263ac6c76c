// SPDX-License-Identifier: Apache-2.0
// Who a thread is, and the CPU whose seat it takes. Runtime code.
#pragma once

#include "emu/arena/vcpu.h"
#include "emu/runtime/inside/inside.h"

namespace bpfemu {

// As the process itself sees it (InsideState::plain_ids).
InsideThread ids_of_thread(const InsideState& state);

// A seat for a scope: of the CPU that the thread is on, or another.
class Seating {
 public:
  Seating(InsideSlot& slot, CpuSeat* seats, u32 cpus, u32 tid);
  ~Seating();
  Seating(const Seating&) = delete;
  Seating& operator=(const Seating&) = delete;
  // False: all are taken, and it may be that those who have them wait for this CPU.
  explicit operator bool() const { return slot_.seat != 0; }

 private:
  InsideSlot& slot_;
  CpuSeat* seats_;
};

}  // namespace bpfemu

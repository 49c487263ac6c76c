// SPDX-License-Identifier: Apache-2.0
// Where patched instructions of one address space run: slots of code in pages of our own, within reach of 32-bit
// displacements. A slot that its breakpoint has given back is used again when no thread can be in it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "loader/insn.h"
#include "loader/space_memory.h"

namespace bpfemu {

// What is to run in a slot.
struct SlotUse {
  u64 address = 0;     // of the patched instruction
  bool touch = false;  // build_touch instead of build_slot
  StepPlan plan{};
  std::array<u8, kMaxInsnLength + 1> bytes{};
  bool operator==(const SlotUse& other) const {
    return address == other.address && touch == other.touch && bytes == other.bytes;
  }
};

// Where a thread that stands in a slot is as far as its program is concerned.
struct SlotPlace {
  u64 address;    // of the patched instruction
  u64 resume;     // the rip that the program would have
  u64 popped;     // bytes to be added to rsp
  bool executed;  // the instruction has run
  bool touch;
  bool one_step;
};

// A page of the process' for code of ours, full of int3, that is_near() `near`. Errors of mmap; ERANGE: no room there.
Result<u64> map_code_page(Task& task, SpaceMemory& memory, u64 near);
// Do 32-bit displacements reach from one to the other?
bool is_near(u64 page, u64 address);

class Slots {
 public:
  // May some thread be in the slot?
  using Inside = std::function<bool(u64 slot)>;

  // A slot with the code for `use`; a page of slots is mapped by a call in `task` when no slot is free. Errors of
  // mmap; ERANGE: no room within reach.
  Result<u64> take(Task& task, SpaceMemory& memory, const SlotUse& use, const Inside& inside);
  void give_back(u64 slot);
  bool has(u64 slot) const { return slots_.contains(slot); }
  // After a fork: the child's memory is some moments older than what we know of the parent's. Pages that it has not
  // are forgotten, and what its slots lack is written.
  void settle_fork(SpaceMemory& memory);

  // An address whose int3 means "a hijacked function returned". Same errors.
  Result<u64> return_trampoline(Task& task, SpaceMemory& memory, u64 near);
  bool is_return_trampoline(u64 address) const;
  std::optional<SlotPlace> place_of(u64 rip) const;

 private:
  struct Area {
    u64 start;
    size_t used;  // slots handed out so far; slot 0 is the return trampoline
  };
  struct Slot {
    SlotUse use;
    bool given_back = false;
  };

  Result<Area*> map_area(Task& task, SpaceMemory& memory, u64 near);
  Result<u64> free_slot(Task& task, SpaceMemory& memory, u64 near, const Inside& inside);

  std::vector<Area> areas_;
  std::map<u64, Slot> slots_;  // by address
};

}  // namespace bpfemu

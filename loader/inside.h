// SPDX-License-Identifier: Apache-2.0
// The image (emu/runtime/inside) in one address space: which has it once a site of it is to lead there.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "emu/arena/arena.h"
#include "emu/runtime/inside/events.h"
#include "emu/runtime/inside/image.h"
#include "loader/space_memory.h"

namespace bpfemu {

// What the image reads. Null: there is nothing for it to do.
struct InsideView {
  const Arena* arena = nullptr;
  const MapIndex* maps = nullptr;
  const InsideEvents* events = nullptr;

  // Are there programs at the beginning of the call, which processes run by themselves?
  bool tells(long number) const;
};

// Where a thread is with regard to the call of the stub that it is in. kTold: before it, programs have been told of it.
// kRunning: in the midst of them, or of a map's change; its registers are not the program's, and stay what they are.
enum class StubSide : u8 { kOutside, kBefore, kAfter, kTold, kRunning };

// Where sites enter the image.
u64 inside_entry();

class Inside {
 public:
  // The process has the image from then on. Errors as of mmap; ENOENT: there is nothing for it to do.
  Result<void> map(Task& task, SpaceMemory& memory, const InsideView& view);
  // It sees what has been shared since, too.
  void see(Task& task, SpaceMemory& memory, const InsideView& view);
  // A thread that stands in the image has made the call of its site, or not yet. Empty: it stands elsewhere; one that came
  // by way of a stub stands there from now on.
  std::optional<StubSide> leave(SpaceMemory& memory, PtRegs& regs) const;
  // A thread that runs programs, with such registers, makes its call at the site when they have: true. Or what it does
  // is its call, behind which it parts.
  bool let_leave(SpaceMemory& memory, u64 rsp) const;
  // Its registers as its program has them, before the call of a stub.
  void show(SpaceMemory& memory, PtRegs& regs) const;
  // After a fork: threads that were inside are not in the child.
  void settle_fork(SpaceMemory& memory) const;

 private:
  bool sees(const InsideView& view) const;
  Result<void> map_shared(Task& task, const InsideView& view);
  void free_seat(const InsideSlot& slot) const;
  Result<void> put_state(SpaceMemory& memory, const InsideView& view, pid_t tid);

  bool mapped_ = false;
  InsideState state_ = {};
  std::vector<Extent> shared_;  // that the process can write to
};

}  // namespace bpfemu

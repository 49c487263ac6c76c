// SPDX-License-Identifier: Apache-2.0
// The image (emu/runtime/inside) in one address space: which has it once a site of it is to lead there.
#pragma once

#include <optional>
#include <span>

#include "emu/arena/arena.h"
#include "emu/runtime/inside/inside.h"
#include "loader/space_memory.h"

namespace bpfemu {

// What the image reads. Null: there is nothing for it to do.
struct InsideView {
  const Arena* arena = nullptr;
  const MapIndex* maps = nullptr;
};

// Where a thread is with regard to the call of the stub that it is in.
enum class StubSide : u8 { kOutside, kBefore, kAfter };

// Its bytes, which lie at kInsideImage.
std::span<const u8> image_bytes();
// Where sites enter the image.
u64 inside_entry();

class Inside {
 public:
  // The process has the image from then on. Errors as of mmap; ENOENT: there is nothing for it to do.
  Result<void> map(Task& task, SpaceMemory& memory, const InsideView& view);
  // A thread that stands in the image has made call `number` at its site, or not yet. Empty: it stands elsewhere.
  std::optional<StubSide> leave(SpaceMemory& memory, PtRegs& regs) const;
  // After a fork: threads that were inside are not in the child.
  void settle_fork(SpaceMemory& memory) const;

 private:
  bool mapped_ = false;
};

}  // namespace bpfemu

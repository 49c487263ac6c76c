// SPDX-License-Identifier: Apache-2.0
// The memory of a tracee: slots that each end at an unmapped page. What lies outside of them is EFAULT, and a write
// beyond what a call was given is remembered as a violation.
#pragma once

#include <string>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu::fuzz {

class Memory {
 public:
  static constexpr u64 kSlotSize = 65536;
  static constexpr u32 kSlots = 16;

  Memory();
  ~Memory();

  // Forgets all buffers: they may be reused, and nothing limits writes.
  void reset();
  // A buffer of `size` bytes at the end of the next slot, `limit` of which may be written.
  u64 buffer(u64 size, u64 limit);
  u64 buffer(u64 size) { return buffer(size, size); }
  u64 copy(const void* from, u64 size);
  u64 text(const std::string& text) { return copy(text.c_str(), text.size() + 1); }
  // Lies in the tracee's memory as a whole.
  bool holds(u64 address, u64 size) const;
  // A write of the model: false when it is more than the buffer there.
  bool may_write(u64 address, u64 size) const;

 private:
  struct Buffer {
    u64 address, size, limit;
  };
  u64 base_;
  std::vector<Buffer> buffers_;
};

}  // namespace bpfemu::fuzz

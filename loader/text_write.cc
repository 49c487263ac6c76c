// SPDX-License-Identifier: Apache-2.0
#include "loader/text_write.h"

#include "loader/insn.h"

namespace bpfemu {

// Each step is a system call of its own: long after it no CPU has the bytes from before in its pipeline, and those of
// one cache line come all at once.
Result<void> write_text(SpaceMemory& memory, u64 address, std::span<const u8> bytes) {
  u8 first = 0;
  TRY(memory.read(address, &first, 1));
  TRY(memory.write(address, &kInt3, 1));
  if (!memory.write(address + 1, &bytes[1], bytes.size() - 1)) return memory.write(address, &first, 1);
  return memory.write(address, &bytes[0], 1);
}

}  // namespace bpfemu

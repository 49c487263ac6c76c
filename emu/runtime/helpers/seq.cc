// SPDX-License-Identifier: Apache-2.0
// bpf_seq_printf, bpf_seq_write: what an iterator's program adds to the text that its reader gets.
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/helpers/format.h"
#include "emu/runtime/seq_file.h"

namespace bpfemu {

HELPER(help_seq_printf) {
  auto& file = *pointer_to<SeqFile>(r1);
  const u32 size = low32(r5);
  if (size % 8 || size > kMaxFormatArgs * 8 || (size && !r4)) return result(-EINVAL);
  const u64 room = file.size - file.count;
  const s64 length = format_text(run, file.buffer + file.count, room, pointer_to<const char>(r2), low32(r3),
                                 pointer_to<const u64>(r4), size / 8);
  if (length < 0) return result(length);
  // The NUL behind the text must fit as well (kernel: seq_bprintf).
  if (static_cast<u64>(length) < room) {
    file.count += static_cast<u64>(length);
    return 0;
  }
  file.set_overflowed();
  return result(-EOVERFLOW);
}

HELPER(help_seq_write) {
  auto& file = *pointer_to<SeqFile>(r1);
  const u32 size = low32(r3);
  if (file.count + size < file.size) {
    __builtin_memcpy(file.buffer + file.count, pointer_to(r2), size);
    file.count += size;
    return 0;
  }
  file.set_overflowed();
  return result(-EOVERFLOW);
}

}  // namespace bpfemu

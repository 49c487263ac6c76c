// SPDX-License-Identifier: Apache-2.0
// bpf_seq_printf, bpf_seq_write, bpf_seq_printf_btf: what an iterator's program adds to the text that its reader gets;
// and bpf_snprintf_btf.
#include <linux/bpf.h>

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

namespace {

// What the kernel prints of an object (kernel: bpf_btf_printf_prepare).
s64 show_type(Run* run, u64 pointer, u32 pointer_size, u64 flags, char* to, u64 size) {
  constexpr u64 kAll = BTF_F_COMPACT | BTF_F_NONAME | BTF_F_PTR_RAW | BTF_F_ZERO;
  const auto& object = *pointer_to<const btf_ptr>(pointer);
  if ((flags & ~kAll) || pointer_size != sizeof object || !object.type_id) return -EINVAL;
  if (static_cast<s32>(object.type_id) <= 0) return -ENOENT;
  if (!run->env->show_type) return -EINVAL;
  return run->env->show_type(run->env->self, run, object.type_id, address_of(object.ptr), flags, to, size);
}

}  // namespace

HELPER(help_snprintf_btf) {
  return result(show_type(run, r3, low32(r4), r5, pointer_to<char>(r1), low32(r2)));
}

// That the text does not fit shows at the end of the program alone.
HELPER(help_seq_printf_btf) {
  auto& file = *pointer_to<SeqFile>(r1);
  const u64 room = file.size - file.count;
  const s64 length = show_type(run, r2, low32(r3), r4, file.buffer + file.count, room);
  if (length < 0) return result(length);
  if (static_cast<u64>(length) < room) {
    file.count += static_cast<u64>(length);
  } else {
    file.set_overflowed();
  }
  return 0;
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

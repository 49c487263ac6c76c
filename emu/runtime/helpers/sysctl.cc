// SPDX-License-Identifier: Apache-2.0
// Sysctls that a task reads or writes, as programs of its cgroup see and change that. Runtime code.
#include <linux/bpf.h>

#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

RunSysctl& sysctl_at(u64 context) {
  return *pointer_to<RunSysctl>(context);
}

// Kernel: strscpy.
s64 copy_text(char* to, u64 room, const char* from) {
  if (!room) return -E2BIG;
  u64 length = 0;
  while (length < room && from[length]) {
    to[length] = from[length];
    ++length;
  }
  if (length < room) {
    to[length] = 0;
    return static_cast<s64>(length);
  }
  to[room - 1] = 0;
  return -E2BIG;
}

// Kernel: copy_sysctl_value.
s64 copy_value(char* to, u64 room, const char* from, u32 size) {
  if (!to) return -EINVAL;
  if (!room) return -E2BIG;
  __builtin_memset(to, 0, room);
  if (!size) return -EINVAL;
  __builtin_memcpy(to, from, size < room ? size : room);
  if (room > size) return size;
  to[room - 1] = 0;
  return -E2BIG;
}

}  // namespace

// With its folders, or by its last name alone.
HELPER(help_sysctl_get_name) {
  const char* name = sysctl_at(r1).name;
  if (!r2) return result(-EINVAL);
  if (r4 & BPF_F_SYSCTL_BASE_NAME)
    for (const char* at = name; *at; ++at)
      if (*at == '/') name = at + 1;
  return result(copy_text(pointer_to<char>(r2), r3, name));
}

HELPER(help_sysctl_get_current_value) {
  const RunSysctl& sysctl = sysctl_at(r1);
  return result(copy_value(pointer_to<char>(r2), r3, sysctl.current, sysctl.current_size));
}

HELPER(help_sysctl_get_new_value) {
  const RunSysctl& sysctl = sysctl_at(r1);
  return result(copy_value(pointer_to<char>(r2), r3, sysctl.value, sysctl.seen.write ? sysctl.value_size : 0));
}

HELPER(help_sysctl_set_new_value) {
  RunSysctl& sysctl = sysctl_at(r1);
  if (!sysctl.seen.write || !sysctl.value_size || !r2 || !r3) return result(-EINVAL);
  if (r3 > sizeof sysctl.value - 1) return result(-E2BIG);
  __builtin_memcpy(sysctl.value, pointer_to(r2), r3);
  sysctl.value_size = low32(r3);
  sysctl.replaced = true;
  return 0;
}

}  // namespace bpfemu

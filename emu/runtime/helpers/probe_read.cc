// SPDX-License-Identifier: Apache-2.0
// bpf_probe_read and its kin: the buffer is zeroed when the read fails.
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/helpers/memory.h"

namespace bpfemu {

namespace {

// `read` is read_kernel, read_user or one for strings.
template <class To, class Read>
u64 probe(Run* run, Read read, u64 to, u64 size, u64 from) {
  s64 r = read(run, pointer_to<To>(to), from, low32(size));
  if (r < 0) __builtin_memset(pointer_to(to), 0, low32(size));
  return result(r);
}

}  // namespace

HELPER(help_probe_read_user) {
  return probe<void>(run, read_user, r1, r2, r3);
}
HELPER(help_probe_read_kernel) {
  return probe<void>(run, read_kernel, r1, r2, r3);
}
HELPER(help_probe_read_user_str) {
  return probe<char>(run, read_user_str, r1, r2, r3);
}
HELPER(help_probe_read_kernel_str) {
  return probe<char>(run, read_kernel_str, r1, r2, r3);
}
HELPER(help_probe_read) {
  return probe<void>(run, read_any, r1, r2, r3);
}
HELPER(help_probe_read_str) {
  return probe<char>(run, read_any_str, r1, r2, r3);
}

HELPER(help_copy_from_user) {
  s64 r = copy_user(run, pointer_to(r1), r3, low32(r2));
  if (r < 0) __builtin_memset(pointer_to(r1), 0, low32(r2));
  return result(r < 0 ? -EFAULT : 0);
}

HELPER(help_copy_from_user_task) {
  const u32 size = low32(r2);
  if (r5) return result(-EINVAL);
  if (!size) return 0;
  const Env& env = *run->env;
  const s64 r =
      env.copy_task && !is_kernel_address(r3) ? env.copy_task(env.self, r4, pointer_to(r1), r3, size) : -EFAULT;
  if (r < 0) __builtin_memset(pointer_to(r1), 0, size);
  return result(r);
}

HELPER(help_probe_write_user) {
  if (is_kernel_address(r1)) return result(-EFAULT);
  return result(run->env->write_user(run->env->self, r1, pointer_to(r2), low32(r3)));
}

}  // namespace bpfemu

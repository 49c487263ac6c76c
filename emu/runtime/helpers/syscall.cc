// SPDX-License-Identifier: Apache-2.0
// What syscall programs do for their task: bpf(), close(), names of types and symbols. Runtime code.
#include <linux/bpf.h>

#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {

// Texts come with their length, the NUL counted, as the last byte must be.
bool is_text(u64 text, u64 size) {
  const s32 length = static_cast<s32>(size);
  return length > 1 && !pointer_to<const char>(text)[length - 1];
}

}  // namespace

// Kernel: bpf_sys_bpf. A program makes objects and fills maps, and nothing else.
HELPER(help_sys_bpf) {
  switch (low32(r1)) {
    case BPF_MAP_CREATE:
    case BPF_MAP_DELETE_ELEM:
    case BPF_MAP_UPDATE_ELEM:
    case BPF_MAP_FREEZE:
    case BPF_MAP_GET_FD_BY_ID:
    case BPF_PROG_LOAD:
    case BPF_BTF_LOAD:
    case BPF_LINK_CREATE:
    case BPF_RAW_TRACEPOINT_OPEN: break;
    default: return result(-EINVAL);
  }
  const SyscallServices* services = run->env->syscalls;
  return result(services ? services->bpf(services->self, run, low32(r1), r2, low32(r3)) : -EPERM);
}

HELPER(help_sys_close) {
  const SyscallServices* services = run->env->syscalls;
  return result(services ? services->close(services->self, low32(r1)) : -EBADF);
}

// Kernel: bpf_btf_find_by_name_kind. No module of the claimed kernel has BTF of its own.
HELPER(help_btf_find_by_name_kind) {
  if (low32(r4) || !is_text(r1, r2)) return result(-EINVAL);
  const SyscallServices* services = run->env->syscalls;
  return result(services ? services->find_type(services->self, pointer_to<const char>(r1), low32(r3)) : -EINVAL);
}

HELPER(help_kallsyms_lookup_name) {
  u64* to = pointer_to<u64>(r4);
  *to = 0;
  if (low32(r3) || !is_text(r1, r2)) return result(-EINVAL);
  if (run->env->symbol) *to = run->env->symbol(run->env->self, pointer_to<const char>(r1));
  return result(*to ? 0 : -ENOENT);
}

}  // namespace bpfemu

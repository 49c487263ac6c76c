// SPDX-License-Identifier: Apache-2.0
// bpf_get_stackid, bpf_get_stack, bpf_get_task_stack.
#include <linux/bpf.h>

#include "emu/runtime/helpers/call.h"
#include "emu/runtime/maps/stack_trace.h"

namespace bpfemu {

namespace {

constexpr u64 kStackidFlags = BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_FAST_STACK_CMP | BPF_F_REUSE_STACKID;
constexpr u64 kStackFlags = BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_USER_BUILD_ID;

// Up to `max` addresses, innermost first; how many (kernel: get_perf_callchain).
u32 walk(Run* run, u64 flags, u64* ips, u32 max) {
  auto* walker = flags & BPF_F_USER_STACK ? run->env->user_stack : run->env->kernel_stack;
  if (max > kMaxStackDepth) max = kMaxStackDepth;
  s64 depth = walker ? walker(run->env->self, run, ips, max) : 0;
  return depth < 0 ? 0 : static_cast<u32>(depth);
}

u32 entry_size(u64 flags) {
  return flags & BPF_F_USER_BUILD_ID ? sizeof(bpf_stack_build_id) : sizeof(u64);
}

bool good_request(u32 size, u64 flags) {
  if ((flags & ~kStackFlags) || (flags & (BPF_F_USER_BUILD_ID | BPF_F_USER_STACK)) == BPF_F_USER_BUILD_ID) return false;
  return size % entry_size(flags) == 0;
}

s64 get_stack(Run* run, u8* to, u32 size, u64 flags) {
  if (!good_request(size, flags)) return -EINVAL;
  const bool build_ids = flags & BPF_F_USER_BUILD_ID;
  const u32 entry = entry_size(flags);
  u32 skip = flags & BPF_F_SKIP_FIELD_MASK, room = size / entry;
  u64 ips[kMaxStackDepth];
  u32 depth = walk(run, flags, ips, room > kMaxStackDepth ? kMaxStackDepth : room + skip);
  if (depth < skip) return -EFAULT;
  u32 count = depth - skip < room ? depth - skip : room;
  if (build_ids) {
    put_build_ids(run, true, reinterpret_cast<bpf_stack_build_id*>(to), ips + skip, count);
  } else {
    __builtin_memcpy(to, ips + skip, count * sizeof(u64));
  }
  __builtin_memset(to + count * entry, 0, size - count * entry);
  return count * entry;
}

}  // namespace

HELPER(help_get_stackid) {
  run->return_ip = address_of(__builtin_return_address(0));
  if (r3 & ~kStackidFlags) return result(-EINVAL);
  u32 skip = r3 & BPF_F_SKIP_FIELD_MASK;
  u64 ips[kMaxStackDepth];
  u32 depth = walk(run, r3, ips, stack_depth(map_at(r2)) + skip);
  if (depth <= skip) return result(-EFAULT);
  return result(stack_put(run, map_at(r2), ips + skip, depth - skip, r3));
}

// Of a task, the stack that it has in user mode, if it is the one that runs, or that in the kernel.
HELPER(help_get_task_stack) {
  const u32 size = low32(r3);
  s64 r = -EINVAL;
  if (good_request(size, r4)) {
    RunTask& current = *run->task;
    if (!current.task_struct && run->env->task_struct) current.task_struct = run->env->task_struct(run->env->self, run);
    if (!(r4 & BPF_F_USER_STACK)) {
      missing(run, "kernel stacks of tasks");
      r = -EFAULT;
    } else {
      r = r1 == current.task_struct ? get_stack(run, pointer_to<u8>(r2), size, r4) : -EOPNOTSUPP;
    }
  }
  if (r < 0) __builtin_memset(pointer_to(r2), 0, size);
  return result(r);
}

HELPER(help_get_stack) {
  run->return_ip = address_of(__builtin_return_address(0));
  s64 r = get_stack(run, pointer_to<u8>(r2), low32(r3), r4);
  if (r < 0) __builtin_memset(pointer_to(r2), 0, low32(r3));
  return result(r);
}

}  // namespace bpfemu

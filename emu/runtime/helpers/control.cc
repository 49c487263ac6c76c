// SPDX-License-Identifier: Apache-2.0
// bpf_loop, and what the attachment of the running program says.
#include <linux/bpf.h>

#include "emu/runtime/helpers/call.h"

namespace bpfemu {

namespace {
constexpr u32 kMaxLoops = 8 << 20;  // BPF_MAX_LOOPS
}

HELPER(help_loop) {
  if (r4) return result(-EINVAL);
  u32 count = low32(r1);
  if (count > kMaxLoops) return result(-E2BIG);
  auto* callback = reinterpret_cast<MapCallback>(r2);
  for (u32 i = 0; i < count; ++i) {
    breathe(run);
    if (callback(i, r3, 0, 0, 0, run)) return i + 1;
  }
  return count;
}

HELPER(help_get_attach_cookie) {
  return run->cookie;
}
HELPER(help_get_func_ip) {
  return run->func_ip;
}

// What a trampoline lays down: the number of arguments before them, the result behind them.
HELPER(help_get_func_arg_cnt) {
  return reinterpret_cast<const u64*>(r1)[-1];
}
HELPER(help_get_func_arg) {
  const auto* arguments = reinterpret_cast<const u64*>(r1);
  if (low32(r2) >= arguments[-1]) return result(-EINVAL);
  *reinterpret_cast<u64*>(r3) = arguments[low32(r2)];
  return 0;
}
HELPER(help_get_func_ret) {
  const auto* arguments = reinterpret_cast<const u64*>(r1);
  if (run->program->expected_attach_type == BPF_TRACE_FENTRY) return result(-EOPNOTSUPP);
  *reinterpret_cast<u64*>(r2) = arguments[arguments[-1]];
  return 0;
}

// A CPU without last branch records.
HELPER(help_get_branch_snapshot) {
  return result(r3 ? -EINVAL : -ENOENT);
}

HELPER(help_read_branch_records) {
  return result(r4 & ~u64{BPF_F_GET_BRANCH_RECORDS_SIZE} ? -EINVAL : -ENOENT);
}

}  // namespace bpfemu

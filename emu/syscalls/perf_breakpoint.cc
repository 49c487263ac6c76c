// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/perf_breakpoint.h"

#include <linux/hw_breakpoint.h>

#include "emu/base/bytes.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr u64 kUserEnd = 0x7ffffffff000;  // kernel: TASK_SIZE_MAX

// Kernel: arch_build_bp_info, hw_breakpoint_arch_parse. Ranges are for AMD's processors.
Result<void> check_form(const perf_event_attr& attr) {
  if (attr.bp_addr + attr.bp_len - 1 < attr.bp_addr) return fail(EINVAL);
  switch (attr.bp_type) {
    case HW_BREAKPOINT_W:
    case HW_BREAKPOINT_RW: break;
    case HW_BREAKPOINT_X: return attr.bp_len == sizeof(long) ? Result<void>() : fail(EINVAL);
    default: return fail(EINVAL);
  }
  if (!is_power_of_two(attr.bp_len) || attr.bp_addr & (attr.bp_len - 1)) return fail(EINVAL);
  return attr.bp_len <= HW_BREAKPOINT_LEN_8 ? Result<void>() : fail(EOPNOTSUPP);
}

}  // namespace

Result<void> parse_breakpoint(System& system, Task& task, const perf_event_attr& attr) {
  TRY(check_form(attr));
  if (attr.bp_addr + attr.bp_len - 1 >= kUserEnd) {
    if (attr.exclude_kernel) return fail(EINVAL);
    if (!system.capabilities(task).sys_admin) return fail(EPERM);
    system.unmodelled.note("perf event", "breakpoint on the kernel's own memory");
    return fail(ENOENT);
  }
  if (!attr.exclude_kernel && attr.bp_type != HW_BREAKPOINT_X)
    system.unmodelled.note("perf_event_open: breakpoints on memory that the kernel accesses for a call");
  return {};
}

Result<void> check_breakpoint(System& system, Task& task, const perf_event_attr& attr, pid_t pid, int cpu) {
  if (attr.sample_type & PERF_SAMPLE_BRANCH_STACK) return fail(EOPNOTSUPP);
  if (attr.bp_type == HW_BREAKPOINT_EMPTY || attr.bp_type == HW_BREAKPOINT_INVALID) return fail(EINVAL);
  TRY(system.probes->watches().check_room(pid, cpu));
  return parse_breakpoint(system, task, attr);
}

}  // namespace bpfemu

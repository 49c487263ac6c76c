// SPDX-License-Identifier: Apache-2.0
// Which breakpoints perf_event_open takes.
#pragma once

#include <linux/perf_event.h>
#include <sys/types.h>

#include "emu/base/result.h"
#include "emu/ports/task.h"

namespace bpfemu {

class System;

// Kernel: hw_breakpoint_event_init, register_perf_hw_breakpoint. EINVAL, ENOSPC, EOPNOTSUPP, EPERM; ENOENT, with a word,
// for what the kernel itself would run or access.
Result<void> check_breakpoint(System& system, Task& task, const perf_event_attr& attr, pid_t pid, int cpu);
// The same for one that there is: without room for one more (kernel: hw_breakpoint_parse).
Result<void> parse_breakpoint(System& system, Task& task, const perf_event_attr& attr);

}  // namespace bpfemu

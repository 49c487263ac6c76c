// SPDX-License-Identifier: Apache-2.0
// A perf event's counter as programs read it.
#pragma once

#include <sys/types.h>

#include "emu/base/types.h"

namespace bpfemu {

class Probes;

// Count, time enabled and time running of the event with this id, on behalf of thread `tid` on CPU `cpu`: 0, or
// -EOPNOTSUPP for one that is inherited, -EINVAL for one that counts elsewhere (kernel: perf_event_read_local).
s64 read_local(Probes& probes, u64 event_id, pid_t tid, u32 cpu, u64* to);

}  // namespace bpfemu

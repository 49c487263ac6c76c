// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/perf_local.h"

#include <cerrno>

#include "emu/probe/perf_event.h"
#include "emu/probe/probes.h"

namespace bpfemu {

s64 read_local(Probes& probes, u64 event_id, pid_t tid, u32 cpu, u64* to) {
  const auto found = probes.perf_events.find(event_id);
  // What counts may close events meanwhile.
  const auto event = found == probes.perf_events.end() ? nullptr : found->second->weak_from_this().lock();
  if (!event) return -EINVAL;
  if (event->attr().inherit) return -EOPNOTSUPP;
  const auto& spec = event->spec();
  if (spec.pid > 0 ? spec.pid != tid : spec.cpu != static_cast<s32>(cpu)) return -EINVAL;
  event->update();
  const PerfEventState& state = event->state();
  to[0] = state.count;
  to[1] = to[2] = state.time;
  return 0;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/perf_watches.h"

#include <algorithm>

#include "emu/probe/perf_event.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

bool is_on(const PerfEvent::Spec& spec, int cpu) { return spec.cpu == -1 || spec.cpu == cpu; }

}  // namespace

Result<void> PerfWatches::check_room(pid_t pid, int cpu) const {
  const int cpus = static_cast<int>(probes_.runner().arena().cpus());
  for (int each = cpu < 0 ? 0 : cpu; each < (cpu < 0 ? cpus : cpu + 1); ++each) {
    size_t of_all = 0;
    std::map<pid_t, size_t> of_tasks;
    for (const auto& [id, event] : probes_.perf_events) {
      const PerfEvent::Spec& spec = event->spec();
      if (spec.sort != PerfEvent::Sort::kBreakpoint || !is_on(spec, each)) continue;
      ++(spec.pid == -1 ? of_all : of_tasks[spec.pid]);
    }
    size_t most = 0;
    for (const auto& [task, count] : of_tasks)
      if (pid == -1 || task == pid) most = std::max(most, count);
    if (of_all + most >= kDebugRegisters) return fail(ENOSPC);
  }
  return {};
}

Watches PerfWatches::wanted(pid_t tid) const {
  Watches wanted;
  for (const auto& [id, event] : probes_.perf_events) {
    if (event->spec().sort != PerfEvent::Sort::kBreakpoint || !event->counts_in(tid)) continue;
    if (std::ranges::count(wanted, event->watch())) continue;
    if (wanted.size() == kDebugRegisters) {
      probes_.unmodelled().note("perf_event_open: more than four breakpoints of CPUs in one thread");
      break;
    }
    wanted.push_back(event->watch());
  }
  return wanted;
}

void PerfWatches::changed() {
  const bool any = std::ranges::any_of(probes_.perf_events, [](const auto& each) {
    return each.second->spec().sort == PerfEvent::Sort::kBreakpoint;
  });
  if (!any && watched_.empty()) return;
  for (pid_t tid : probes_.host().threads()) {
    Watches now = wanted(tid);
    const auto before = watched_.find(tid);
    if (before == watched_.end() ? now.empty() : before->second == now) continue;
    probes_.host().watch(tid, now, [&unmodelled = probes_.unmodelled()] {
      unmodelled.note("perf_event_open: breakpoints where the host gives no debug registers");
    });
    if (now.empty()) {
      watched_.erase(tid);
    } else {
      watched_[tid] = std::move(now);
    }
  }
}

void PerfWatches::hit(Task& task, u32 registers) {
  const auto found = watched_.find(task.tid());
  if (found == watched_.end()) return;
  const Watches watches = found->second;
  for (size_t i = 0; i < watches.size(); ++i) {
    if (!(registers >> i & 1)) continue;
    probes_.for_each_perf_event([&](PerfEvent& event) {
      if (event.spec().sort == PerfEvent::Sort::kBreakpoint && event.watch() == watches[i]) event.watched(task);
    });
  }
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/event_tracer.h"

#include <time.h>

#include <cstring>

#include "emu/probe/probes.h"
#include "emu/probe/trace_flags.h"
#include "emu/probe/tracepoints.h"

namespace bpfemu {

EventTracer::EventTracer(Probes& probes, EventSwitches& switches, const DynamicEvents& dynamic)
    : probes_(probes), switches_(switches), printer_(probes.kernel(), dynamic, probes.unmodelled()) {
  switches_.recorder = this;
}

EventTracer::~EventTracer() {
  switches_.recorder = nullptr;
}

bool EventTracer::knows(u32 id) const {
  const TraceEvent* event = probes_.kernel().events().find(id);
  return event ? can_fire(*event) : probes_.dynamic_events().find(id) != nullptr;
}

Result<void> EventTracer::turn(u32 id, bool on) {
  if (!on) {
    if (auto node = points_.extract(id)) {
      Point& point = *node.mapped();
      point.set_traced(false);
      if (point.where().probe == Point::Probe::kUser) point.close(this);
    }
    return {};
  }
  auto point = TRY(tracepoint(probes_, id));
  TRY(point->check_modelled());
  if (point->where().probe == Point::Probe::kUser) TRY(point->open(this, -1, false));
  point->set_traced(true);
  points_.emplace(id, std::move(point));
  return {};
}

void EventTracer::together(const std::function<void()>& turns) {
  probes_.change_at_once(turns);
}

void EventTracer::record(RunScope& scope, const Point& point, const Event& event, EventRecord& record) {
  TraceLog* log = probes_.runner().trace_log();
  Run& run = scope.run();
  const pid_t tid = static_cast<pid_t>(run.task->tid);
  if (!log || !log->enabled || !switches_.wants(tid)) return;
  const u32 id = point.event_id();
  const EventFilter* filter = switches_.filter(id);
  if (filter && !record.passes(*filter)) return;
  const bool verbose = log->options && log->options->on("verbose");
  log->add({.comm = tid ? std::string_view(run.task->comm, strnlen(run.task->comm, sizeof run.task->comm)) : "<idle>",
            .pid = run.task->tid,
            .tgid = run.task->tgid,
            .cpu = run.cpu->id,
            .time_ns = run.env->clock(run.env->self, CLOCK_MONOTONIC),
            .flags = event_flags(point, event)},
           printer_.text(id, record.bytes(), verbose), TraceLog::raw_of_type(id));
}

void EventTracer::forked(pid_t parent, pid_t child) {
  const TraceLog* log = probes_.runner().trace_log();
  if (!log || !log->options || !log->options->on("event-fork")) return;
  for (EventSwitches::Pids* pids : {&switches_.only, &switches_.never}) {
    if (pids->listed.contains(parent)) pids->listed.insert(child);
  }
}

void EventTracer::exited(pid_t tid) {
  const TraceLog* log = probes_.runner().trace_log();
  if (!log || !log->options || !log->options->on("event-fork")) return;
  for (EventSwitches::Pids* pids : {&switches_.only, &switches_.never}) pids->listed.erase(tid);
}

}  // namespace bpfemu

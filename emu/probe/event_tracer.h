// SPDX-License-Identifier: Apache-2.0
// Records events in the trace buffer: those that tracefs' enable files and set_event turned on (kernel:
// trace_event_raw_event_*, ftrace_syscall_enter, kprobe_trace_func, uprobe_trace_func).
#pragma once

#include <map>
#include <memory>

#include "emu/kernel/event_printer.h"
#include "emu/kernel/event_switches.h"
#include "emu/probe/event_record.h"

namespace bpfemu {

class EventTracer : public EventRecorder {
 public:
  EventTracer(Probes& probes, EventSwitches& switches, const DynamicEvents& dynamic);
  ~EventTracer() override;

  bool knows(u32 id) const override;
  Result<void> turn(u32 id, bool on) override;
  void together(const std::function<void()>& turns) override;

  // The point, which is traced, was passed.
  void record(RunScope& scope, const Point& point, const Event& event, EventRecord& record);
  // With the option event-fork the children of traced threads are traced.
  void forked(pid_t parent, pid_t child);
  void exited(pid_t tid);

 private:
  Probes& probes_;
  EventSwitches& switches_;
  EventPrinter printer_;
  std::map<u32, std::shared_ptr<Point>> points_;  // those that are on
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// What samples and the trace buffer carry of an event: its record, laid out as its format says.
#pragma once

#include <span>
#include <vector>

#include "emu/kernel/event_filter.h"
#include "emu/probe/point.h"
#include "emu/probe/runner.h"

namespace bpfemu {

class Probes;

class EventRecord {
 public:
  // `context` is what the point's programs see.
  EventRecord(Probes& probes, RunScope& scope, const Point& point, const Event& event, void* context)
      : probes_(probes), scope_(scope), point_(point), event_(event), context_(context) {}

  const Event& event() const { return event_; }

  // Made when asked for the first time.
  std::span<const u8> bytes();
  bool passes(const EventFilter& filter);

 private:
  void copy_tracepoint();
  void make_probe();
  Probes& probes_;
  RunScope& scope_;
  const Point& point_;
  const Event& event_;
  void* context_;
  std::vector<u8> bytes_;
};

}  // namespace bpfemu

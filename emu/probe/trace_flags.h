// SPDX-License-Identifier: Apache-2.0
// In which state of the kernel a program runs, as a line of the trace shows it.
#pragma once

#include <string_view>

#include "emu/runtime/run.h"

namespace bpfemu {

class Point;
struct Event;

// Interrupts off, need-resched, in an interrupt, how often preemption and migration are disabled: "d..31" (kernel:
// tracing_gen_ctx, trace_print_lat_fmt). `point` and `event` are null for what is at no point; `in_interrupt`: a clock
// ticked there. As 6.1 prints them; whether a task is to be rescheduled is not told.
std::string_view trace_flags(const ProgramText& program, const Point* point, const Event* event, bool in_interrupt);

// The same of a line that the event itself writes.
std::string_view event_flags(const Point& point, const Event& event);

// common_flags and common_preempt_count of the record that perf gets.
struct RecordState {
  u8 flags = 0, preempt_count = 0;
};
RecordState perf_state(const Point& point, const Event& event);

}  // namespace bpfemu

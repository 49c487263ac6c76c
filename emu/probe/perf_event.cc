// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/perf_event.h"

#include <algorithm>
#include <cstring>

#include "emu/probe/contexts.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

constexpr u64 kMinPeriodNs = 10'000;  // kernel: perf_swevent_start_hrtimer
constexpr u64 kSecondNs = 1'000'000'000;

}  // namespace

Result<std::shared_ptr<PerfEvent>> PerfEvent::create(Probes& probes, Spec spec) {
  Extent extent = TRY(probes.runner().arena().allocate(sizeof(PerfEventState)));
  auto event = std::shared_ptr<PerfEvent>(new PerfEvent(probes, std::move(spec), extent));
  if (event->listens()) TRY(event->listen());
  if (!event->attr().disabled) event->enable();
  return event;
}

PerfEvent::PerfEvent(Probes& probes, Spec spec, Extent extent)
    : Object(ObjectKind::kPerfEvent), probes_(probes), spec_(std::move(spec)), extent_(extent) {
  const perf_event_attr& attr = spec_.attr;
  PerfEventState& s = state();
  s.type = attr.type;
  s.config = attr.config;
  s.sample_type = attr.sample_type;
  s.id = s.stream_id = probes.next_perf_id();
  s.read_format = attr.read_format;
  s.watermark = attr.watermark;
  s.wakeup_events = attr.wakeup_events;
  s.sample_id_all = attr.sample_id_all;
  s.cpu = spec_.cpu;
}

PerfEvent::~PerfEvent() {
  stop_clock();
  drop_program();
  if (listens()) point()->close(*this);
  set_buffer(nullptr);
  probes_.runner().arena().release(extent_);
}

bool PerfEvent::listens() const {
  return point() && point()->where().probe == Point::Probe::kUser;
}

// What a child inherits of a uprobe that is the event's own is a uprobe without the program (kernel: inherit_event,
// perf_uprobe_init); one that tracefs defines is the same for all its events.
Result<void> PerfEvent::listen() {
  const bool inherit = attr().inherit && spec_.sort == Sort::kTracepoint;
  return point()->open(*this, spec_.pid, inherit);
}

Result<void> PerfEvent::take_program(std::shared_ptr<Program> program, u64 cookie) {
  if (tracing()) TRY(point()->attach({program, cookie}));
  program_ = std::move(program);
  cookie_ = cookie;
  return {};
}

void PerfEvent::drop_program() {
  if (program_ && tracing()) point()->detach(*program_);
  program_.reset();
}

void PerfEvent::set_buffer(std::shared_ptr<PerfBuffer> buffer) {
  buffer_ = std::move(buffer);
  state().ring = buffer_ ? &buffer_->ring() : nullptr;
}

void PerfEvent::enable() {
  if (state().active) return;
  state().active = 1;
  if (spec_.sort == Sort::kClock) start_clock();
}

void PerfEvent::disable() {
  state().active = 0;
  stop_clock();
}

Result<void> PerfEvent::set_period(u64 value) {
  bool sampling = attr().sample_period != 0;
  if (!sampling || value == 0 || (!attr().freq && value & (u64{1} << 63))) return fail(EINVAL);
  spec_.attr.sample_period = value;
  if (timer_) {
    stop_clock();
    start_clock();
  }
  return {};
}

u64 PerfEvent::period_ns() const {
  u64 period = attr().freq ? kSecondNs / std::max<u64>(attr().sample_freq, 1) : attr().sample_period;
  return std::max(period, kMinPeriodNs);
}

void PerfEvent::start_clock() {
  if (attr().sample_period == 0) return;
  timer_ = probes_.host().add_timer(period_ns(), [this] { tick(); });
}

void PerfEvent::stop_clock() {
  if (timer_) probes_.host().cancel_timer(std::exchange(timer_, 0));
}

// The CPU is taken to be idle: which supervised thread runs there at this instant nobody can say without stopping it.
void PerfEvent::tick() {
  if (limit && --limit == 0) disable();
  if (!program_) return;
  Task* task = spec_.pid > 0 ? probes_.host().find_task(spec_.pid) : nullptr;
  RunScope scope(probes_.runner(), task, nullptr, needs_of(*program_), spec_.cpu);
  if (!scope) return;
  void* context = perf_event_context(scope.context_memory(), nullptr, period_ns());
  scope.call(*program_, context, cookie_);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/perf_event.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

constexpr u64 kMinPeriodNs = 10'000;  // kernel: perf_swevent_start_hrtimer
constexpr u64 kSecondNs = 1'000'000'000;
constexpr u64 kCounterPollNs = 50'000'000;  // how often counters that are sampled are looked at

}  // namespace

Result<std::shared_ptr<PerfEvent>> PerfEvent::create(Probes& probes, Spec spec) {
  Extent extent = TRY(probes.runner().arena().allocate(sizeof(PerfEventState)));
  auto event = std::shared_ptr<PerfEvent>(new PerfEvent(probes, std::move(spec), extent));
  if (event->listens()) TRY(event->listen());
  if (!event->attr().disabled) event->enable();
  return event;
}

PerfEvent::PerfEvent(Probes& probes, Spec spec, Extent extent)
    : Object(ObjectKind::kPerfEvent),
      probes_(probes),
      spec_(std::move(spec)),
      extent_(extent),
      tasks_(probes.host(), spec_.pid, spec_.cpu) {
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
  s.write_backward = attr.write_backward;
  s.regs_user = attr.sample_regs_user;
  s.stack_user = attr.sample_stack_user;
  s.clock = attr.use_clockid ? attr.clockid : CLOCK_MONOTONIC;
  s.cpu = spec_.cpu;
  if (spec_.leader) {
    leader_ = spec_.leader.get();
    leader_->siblings_.push_back(this);
    leader_->link_group();
    spec_.leader.reset();  // a group does not keep its leader
  }
  probes_.perf_events[s.id] = this;
  settle();  // what passed before is not for it
  if (point()) point()->events.push_back(this);
}

// Nobody finds it any more when siblings, which count for themselves from now on, run their programs.
PerfEvent::~PerfEvent() {
  settle();
  probes_.perf_events.erase(event_id());
  if (point()) std::erase(point()->events, this);
  stop_clock();
  drop_program();
  if (listens()) point()->close(this);
  set_buffer(nullptr);
  leave_group();
  if (spec_.sort == Sort::kBreakpoint) probes_.watches().changed();
  if (point() || PerfSideband::wanted(attr())) probes_.programs_changed();
  probes_.runner().arena().release(extent_);
}

bool PerfEvent::listens() const {
  return point() && point()->where().probe == Point::Probe::kUser;
}

// What a child inherits of a uprobe that is the event's own is a uprobe without the program (kernel: inherit_event,
// perf_uprobe_init); one that tracefs defines is the same for all its events.
Result<void> PerfEvent::listen() {
  const bool inherit = attr().inherit && spec_.sort == Sort::kTracepoint;
  return point()->open(this, spec_.pid, inherit);
}

PerfEvent::Held PerfEvent::own_siblings() const {
  Held held;
  for (PerfEvent* sibling : siblings_) {
    // One that is being destroyed has nobody left.
    if (auto alive = sibling->weak_from_this().lock()) held.push_back(std::move(alive));
  }
  return held;
}

PerfEvent::Held PerfEvent::group() const {
  Held held = leader().own_siblings();
  if (auto alive = leader().weak_from_this().lock()) held.insert(held.begin(), std::move(alive));
  return held;
}

// kernel: perf_group_detach: what a leader leaves behind are groups of one.
void PerfEvent::leave_group() {
  if (leader_) {
    std::erase(leader_->siblings_, this);
    leader_->link_group();
  }
  const Held left = own_siblings();
  for (PerfEvent* sibling : std::exchange(siblings_, {})) {
    sibling->leader_ = nullptr;
    sibling->link_group();
  }
  for (const auto& sibling : left) sibling->apply();
}

// Shows the group to those who write records.
void PerfEvent::link_group() {
  PerfEventState* last = &state();
  last->leader = nullptr;
  last->siblings = static_cast<u32>(siblings_.size());
  for (PerfEvent* sibling : siblings_) {
    sibling->state().leader = &state();
    last = last->next = &sibling->state();
  }
  last->next = nullptr;
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
  if (buffer && point()) (void)point()->check_modelled();
  settle();
  const bool changes = point() && !buffer_ != !buffer;
  buffer_ = std::move(buffer);
  state().ring = buffer_ ? &buffer_->ring() : nullptr;
  if (changes) probes_.programs_changed();
}

void PerfEvent::enable() {
  enabled_ = true;
  apply_group();
}

void PerfEvent::disable() {
  enabled_ = false;
  apply_group();
}

void PerfEvent::apply_group() {
  const Held siblings = own_siblings();
  apply();
  for (const auto& sibling : siblings) sibling->apply();
}

// Starts or stops counting, as its own state and its leader's say.
void PerfEvent::apply() {
  bool on = enabled_ && leader().enabled_;
  if (std::exchange(counting_, on) == on) return;
  settle();
  if (on) {
    if (spec_.pid == -1) state().since = probes_.host().clock(CLOCK_MONOTONIC);
    if (counts_usage()) tasks_.start();
    state().active = 1;
    start_clock();
  } else {
    stop_clock();
    update();
    if (counting_) return;  // somebody has enabled it meanwhile
    state().active = 0;
    if (counts_usage()) tasks_.stop();
    state().since = 0;
  }
  if (spec_.sort == Sort::kBreakpoint) probes_.watches().changed();
  if (point() || PerfSideband::wanted(attr())) probes_.programs_changed();
}

u64 PerfEvent::usage_count(const TaskUsage& usage) const {
  switch (attr().config) {
    // Those of user mode, but for few; the scheduler's happen in the kernel (kernel: perf_exclude_event).
    case PERF_COUNT_SW_PAGE_FAULTS: return attr().exclude_user ? 0 : usage.minor_faults + usage.major_faults;
    case PERF_COUNT_SW_PAGE_FAULTS_MIN: return attr().exclude_user ? 0 : usage.minor_faults;
    case PERF_COUNT_SW_PAGE_FAULTS_MAJ: return attr().exclude_user ? 0 : usage.major_faults;
    case PERF_COUNT_SW_CONTEXT_SWITCHES: return attr().exclude_kernel ? 0 : usage.switches;
    case PERF_COUNT_SW_CPU_MIGRATIONS: return attr().exclude_kernel ? 0 : usage.migrations;
    default: return 0;
  }
}

bool PerfEvent::only_counts() const {
  return spec_.pid < 0 && !filter_ && !state().ring && limit == 0 && attr().sample_period <= 1 && leader().siblings_.empty();
}

void PerfEvent::passed(u64 times, u32 cpu) {
  if (!state().active || (spec_.cpu >= 0 && static_cast<u32>(spec_.cpu) != cpu)) return;
  if (!attr().exclude_kernel || point()->where().in_user()) state().count += times;
}

void PerfEvent::settle() {
  if (point()) probes_.apart().settle(*point());
}

void PerfEvent::update() {
  settle();
  // Its program may stand aside for whoever closes the event.
  const std::shared_ptr<PerfEvent> self = weak_from_this().lock();
  if (counts_usage()) tasks_.update(visit());
  // How long it was enabled: as a task's event, while the task ran.
  if (spec_.pid > 0) state().time = tasks_.used().run_ns;
  if (state().since) {
    u64 now = probes_.host().clock(CLOCK_MONOTONIC);
    state().time += now - std::exchange(state().since, now);
  }
  if (spec_.sort == Sort::kClock) state().count = state().time - reset_at_;
  if (spec_.sort == Sort::kCounter) state().count = usage_count(tasks_.used()) - reset_at_;
}

Result<void> PerfEvent::rewatch(const perf_event_attr& attr) {
  perf_event_attr changed = spec_.attr;
  changed.bp_addr = attr.bp_addr;
  changed.bp_type = attr.bp_type;
  changed.bp_len = attr.bp_len;
  changed.disabled = attr.disabled;
  changed.sig_data = attr.sig_data;
  changed.size = attr.size;
  if (std::memcmp(&changed, &attr, sizeof attr) != 0) return fail(EINVAL);
  changed.size = spec_.attr.size;
  spec_.attr = changed;
  return {};
}

bool PerfEvent::counts_here(pid_t tid, u32 cpu) const {
  return state().active && tasks_.has(tid) && (spec_.cpu < 0 || static_cast<u32>(spec_.cpu) == cpu);
}

void PerfEvent::update_group() {
  for (const auto& each : group()) each->update();
}

void PerfEvent::reset() {
  update();
  if (spec_.sort == Sort::kClock || spec_.sort == Sort::kCounter) reset_at_ += state().count;
  // What children counted that have ended stays (kernel: child_count).
  state().count = ended_;
  living_.clear();
}

// One more, be it in a child.
void PerfEvent::count_hit(pid_t tid) {
  ++state().count;
  if (attr().inherit && spec_.pid > 0 && tid != spec_.pid) ++living_[tid];
}

Result<void> PerfEvent::set_filter(std::string_view text, std::string_view format) {
  if (filter_) return fail(EEXIST);
  settle();
  filter_ = TRY(EventFilter::parse(text, format));
  probes_.programs_changed();
  return {};
}

Result<void> PerfEvent::set_period(u64 value) {
  bool sampling = attr().sample_period != 0;
  if (!sampling || value == 0) return fail(EINVAL);
  if (attr().freq ? value > kMaxSampleRate : value >> 63) return fail(EINVAL);
  spec_.attr.sample_period = value;
  // One that counts now goes on with the next hit (kernel: __perf_event_period).
  left_ = counting_ && counts_hits() && !attr().freq ? value - 1 : 0;
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
  if (spec_.sort == Sort::kClock) timer_ = probes_.host().add_timer(period_ns(), [this] { tick(); });
  if (spec_.sort == Sort::kCounter) timer_ = probes_.host().add_timer(kCounterPollNs, [this] { update(); });
}

void PerfEvent::stop_clock() {
  if (timer_) probes_.host().cancel_timer(std::exchange(timer_, 0));
}

u64 PerfEvent::stream_of(pid_t tid) {
  if (!attr().inherit || spec_.pid <= 0 || tid == spec_.pid) return state().stream_id;
  const auto [stream, is_new] = streams_.try_emplace(tid);
  if (is_new) stream->second = probes_.next_perf_id();
  return stream->second;
}

void PerfEvent::task_forked(pid_t parent, pid_t child, bool thread) {
  if (!counts_usage()) return;
  bool inherits = attr().inherit && (thread || !attr().inherit_thread);
  if (tasks_.everyone() || (inherits && tasks_.has(parent))) tasks_.forked(child);
}

void PerfEvent::task_executed(pid_t old_tid, pid_t tid) {
  awaited_.erase(old_tid);
  awaited_.erase(tid);
  tasks_.executed(old_tid, tid);
  if (spec_.pid <= 0 || !tasks_.has(tid)) return;
  if (attr().remove_on_exec) disable();
  if (!attr().enable_on_exec) return;
  spec_.attr.enable_on_exec = 0;
  enable();
}

void PerfEvent::task_exiting(Task& task) {
  awaited_.erase(task.tid());
  streams_.erase(task.tid());
  if (const auto counted = living_.find(task.tid()); counted != living_.end()) {
    ended_ += counted->second;
    living_.erase(counted);
  }
  if (counts_usage()) tasks_.exiting(task.tid(), visit());
}

}  // namespace bpfemu

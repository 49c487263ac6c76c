// SPDX-License-Identifier: Apache-2.0
// The samples of perf events: who is sampled, and what of it goes to the event's program and into its buffer.
#include <algorithm>
#include <cstring>

#include "emu/base/bytes.h"
#include "emu/probe/contexts.h"
#include "emu/probe/perf_event.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxStack = 127;           // sysctl_perf_event_max_stack
constexpr u32 kMaxSamplesAtOnce = 1000;  // of a counter that went far ahead

// A sample's fields, but for what the event itself adds.
class SampleOf {
 public:
  SampleOf(RunScope& scope, const PerfEvent& event) {
    Run& run = scope.run();
    const perf_event_attr& attr = event.attr();
    sample.pid = run.task->tgid;
    sample.tid = run.task->tid;
    sample.cpu = run.cpu->id;
    sample.time = run.env->clock(run.env->self, event.state().clock);
    sample.cgroup = run.task->cgroup_id;
    sample.misc = PERF_RECORD_MISC_KERNEL;
    if (!run.regs) return;
    sample.user_regs = run.regs;
    sample.ip = run.regs->rip;
    sample.misc = PERF_RECORD_MISC_USER;
    if (!(attr.sample_type & PERF_SAMPLE_CALLCHAIN) || attr.exclude_callchain_user) return;
    chain_[0] = PERF_CONTEXT_USER;
    u32 max = attr.sample_max_stack ? std::min<u32>(attr.sample_max_stack, kMaxStack) : kMaxStack;
    s64 depth = run.env->user_stack(run.env->self, &run, chain_ + 1, max);
    sample.callchain = chain_;
    sample.callchain_size = depth > 0 ? 1 + static_cast<u32>(depth) : 0;
  }
  PerfSample sample;

 private:
  u64 chain_[1 + kMaxStack];
};

// The fields common_* of every tracepoint record (kernel: struct trace_entry).
struct RecordHead {
  u16 type;
  u8 flags, preempt_count;
  s32 pid;
};

ProgramNeeds needs_of_sample(const std::shared_ptr<Program>& program) {
  return program ? needs_of(*program) : ProgramNeeds{};
}

}  // namespace

// kernel: __perf_event_overflow, bpf_overflow_handler.
void PerfEvent::overflow(RunScope& scope, PerfSample& sample, void* context) {
  const std::shared_ptr<Program> program = program_;
  if (limit && --limit == 0) disable();
  if (program && !tracing() && !scope.call(*program, context, cookie_)) return;
  perf_event_sample(&scope.run(), state(), sample);
}

// The record of an event that tools define: where it was hit (kernel: kprobe_perf_func, uprobe_perf_func). The rest of it
// stays zero, aloud.
std::vector<u8> PerfEvent::record_of_probe(const PtRegs& regs, s32 tid) {
  struct {
    RecordHead head;
    u64 place;
  } known{{static_cast<u16>(attr().config), 0, 0, tid}, regs.rip};
  const Point::Where& where = point()->where();
  if (where.probe == Point::Probe::kKernel) --known.place;  // registers are those behind the breakpoint
  if (where.on_return || where.record_size > sizeof known) {
    probes_.unmodelled().note("perf's records of return probes and fetch arguments");
    known.place = where.on_return ? 0 : known.place;
  }
  std::vector<u8> record(std::max<size_t>(where.record_size, sizeof known));
  memcpy(record.data(), &known, sizeof known);
  return record;
}

// kernel: perf_tp_filter_match.
bool PerfEvent::passes(RunScope& scope, void* record) const {
  if (!filter_) return true;
  const Task& task = *scope.task();
  const RecordHead head{static_cast<u16>(attr().config), 0, 0, static_cast<s32>(task.tid())};
  memcpy(record, &head, sizeof head);
  FilteredRecord filtered{.record = {static_cast<const u8*>(record), point()->where().record_size},
                          .cpu = scope.run().cpu->id,
                          .comm = {},
                          .user_text = [&](u64 address, size_t limit) { return scope.task()->read_string(address, limit); }};
  TaskFacts facts;
  if (filter_->asks_comm()) {
    if (auto found = probes_.host().facts(task.tid())) facts = *found;
    filtered.comm = {facts.comm, strnlen(facts.comm, sizeof facts.comm)};
  }
  return filter_->matches(filtered);
}

// kernel: perf_swevent_event. A period is the number of hits from one sample to the next.
void PerfEvent::hit(RunScope& scope, void* context) {
  Task& task = *scope.task();
  if (!state().active || !tasks_.has(task.tid())) return;
  if (attr().exclude_kernel && !point()->where().in_user()) return;
  if (spec_.cpu >= 0 && probes_.host().cpu_of(task) != static_cast<u32>(spec_.cpu)) return;
  if (!passes(scope, context)) return;
  ++state().count;
  u64 period = attr().freq ? 1 : attr().sample_period;
  if (period == 0) return;
  bool each = (attr().sample_type & PERF_SAMPLE_PERIOD) && !attr().freq;
  if (!each && ++left_ < period) return;
  left_ = 0;
  SampleOf of(scope, *this);
  of.sample.period = each ? 1 : period;
  std::vector<u8> probe_record;
  if (spec_.sort == Sort::kTracepoint && point()->where().probe != Point::Probe::kNone) {
    if ((attr().sample_type & PERF_SAMPLE_RAW) && state().ring) {
      probe_record = record_of_probe(*static_cast<PtRegs*>(context), static_cast<s32>(of.sample.tid));
      of.sample.raw = probe_record.data();
      of.sample.raw_size = static_cast<u32>(probe_record.size());
    }
  } else if (spec_.sort == Sort::kTracepoint) {
    RecordHead head{static_cast<u16>(attr().config), 0, 0, static_cast<s32>(of.sample.tid)};
    memcpy(context, &head, sizeof head);
    of.sample.raw = context;
    of.sample.raw_size = static_cast<u32>(round_up(point()->where().record_size, sizeof(u64)));  // of a C struct
  }
  if (attr().sample_type & PERF_SAMPLE_READ) update_group();
  overflow(scope, of.sample, nullptr);
}

// Of those that run now, one on each CPU; a CPU on which nobody does is idle (kernel: perf_swevent_hrtimer).
void PerfEvent::tick() {
  const std::shared_ptr<PerfEvent> self = weak_from_this().lock();
  bool sampled = false;
  for (pid_t tid : probes_.host().running(spec_.cpu)) {
    if (!tasks_.has(tid)) continue;
    sampled = true;
    if (!awaited_.insert(tid).second) continue;
    probes_.host().at_stop(tid, [&probes = probes_, id = event_id(), tid](Task& task) {
      auto event = probes.perf_events.find(id);
      if (event == probes.perf_events.end()) return;
      event->second->awaited_.erase(tid);
      event->second->sample(&task);
    });
  }
  if (!sampled && spec_.pid == -1) sample(nullptr);
}

void PerfEvent::sample(Task* task) {
  // A program may stand aside until nobody else has the event any more.
  const std::shared_ptr<PerfEvent> self = weak_from_this().lock();
  if (!state().active) return;
  if (task ? attr().exclude_user : attr().exclude_kernel || attr().exclude_idle) return;
  PtRegs* regs = task ? &task->regs() : nullptr;
  RunScope scope(probes_.runner(), task, regs, needs_of_sample(program_), spec_.cpu);
  if (!scope) return;
  scope.set_in_interrupt();
  if (attr().sample_type & PERF_SAMPLE_READ) update_group();
  SampleOf of(scope, *this);
  of.sample.period = period_ns();
  overflow(scope, of.sample, perf_event_context(scope.context_memory(), regs, period_ns()));
}

PerfTasks::Visit PerfEvent::visit() {
  if (spec_.sort != Sort::kCounter || attr().sample_period == 0 || !state().active) return {};
  return [this](pid_t tid, const TaskUsage& since) { used(tid, since); };
}

// A thread's counters moved, somewhere since it was looked at last.
void PerfEvent::used(pid_t tid, const TaskUsage& since) {
  left_ += usage_count(since);
  u64 period = attr().freq ? 1 : attr().sample_period;
  u64 samples = left_ / period;
  left_ %= period;
  Task* task = probes_.host().find_task(tid);
  if (!samples || !task) return;
  if (!program_) return take_samples(*task, samples);
  // A program that goes on for long stands aside only for a thread that stands still.
  probes_.host().at_stop(tid, [&probes = probes_, id = event_id(), samples](Task& stopped) {
    auto event = probes.perf_events.find(id);
    if (event != probes.perf_events.end()) event->second->take_samples(stopped, samples);
  });
}

void PerfEvent::take_samples(Task& task, u64 samples) {
  const std::shared_ptr<PerfEvent> self = weak_from_this().lock();
  RunScope scope(probes_.runner(), &task, nullptr, needs_of_sample(program_), spec_.cpu);
  if (!scope) return;
  const u64 period = attr().freq ? 1 : attr().sample_period;
  SampleOf of(scope, *this);
  of.sample.period = period;
  void* context = perf_event_context(scope.context_memory(), nullptr, period);
  // It may have been disabled since it counted them, and disables itself when its limit is reached.
  const u32 active = state().active;
  for (u64 i = std::min<u64>(samples, kMaxSamplesAtOnce); i > 0 && state().active == active; --i) {
    overflow(scope, of.sample, context);
  }
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// The samples of perf events: who is sampled, and what of it goes to the event's program and into its buffer.
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "emu/hook/event.h"
#include "emu/probe/contexts.h"
#include "emu/probe/event_record.h"
#include "emu/probe/perf_event.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxSamplesAtOnce = 1000;  // of a counter that went far ahead

// A sample's fields, but for what the event itself adds.
class SampleOf {
 public:
  // `in_kernel`: where it happened, the registers are the kernel's. `in_call`: the user's show no result yet.
  SampleOf(RunScope& scope, PerfEvent& event, bool in_kernel = false, bool in_call = false)
      : run_(scope.run()), attr_(event.attr()) {
    sample.pid = run_.task->tgid;
    sample.tid = run_.task->tid;
    sample.cpu = run_.cpu->id;
    sample.time = run_.env->clock(run_.env->self, event.state().clock);
    sample.cgroup = run_.task->cgroup_id;
    if (scope.task()) sample.stream_id = event.stream_of(scope.task()->tid());
    sample.misc = PERF_RECORD_MISC_KERNEL;
    sample.user_regs = run_.regs;
    if (in_call && run_.regs) {
      user_ = *run_.regs;
      user_.rax = static_cast<u64>(-ENOSYS);
      sample.user_regs = &user_;
    }
    if (in_kernel) {
      fill_kernel();
    } else if (run_.regs) {
      sample.ip = run_.regs->rip;
      sample.misc = PERF_RECORD_MISC_USER;
    }
    if (run_.regs && wants_chain() && !attr_.exclude_callchain_user) add_user();
    if (!wants_chain()) return;
    sample.callchain = chain_;
    sample.callchain_size = size_;
  }
  PerfSample sample;

 private:
  bool wants_chain() const { return attr_.sample_type & PERF_SAMPLE_CALLCHAIN; }
  u32 most() const { return attr_.sample_max_stack ? attr_.sample_max_stack : kMaxPerfStack; }

  // The addresses count together, the words that say whose they are do not (kernel: perf_callchain_store_context).
  void fill_kernel() {
    if (!(attr_.sample_type & (PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN))) return;
    const s64 depth = run_.env->kernel_stack(run_.env->self, &run_, chain_ + 1, kMaxPerfStack);
    if (depth <= 0) return;
    sample.ip = chain_[1];
    if (!wants_chain() || attr_.exclude_callchain_kernel) return;
    chain_[0] = PERF_CONTEXT_KERNEL;
    frames_ = std::min(static_cast<u32>(depth), most());
    size_ = 1 + frames_;
  }
  void add_user() {
    chain_[size_++] = PERF_CONTEXT_USER;
    if (frames_ >= most()) return;
    const s64 depth = run_.env->user_stack(run_.env->self, &run_, chain_ + size_, most() - frames_);
    if (depth > 0) size_ += static_cast<u32>(depth);
  }

  Run& run_;
  const perf_event_attr& attr_;
  u32 size_ = 0, frames_ = 0;
  u64 chain_[2 + kMaxPerfStack];
  PtRegs user_{};
};

ProgramNeeds needs_of_sample(const std::shared_ptr<Program>& program, u64 sample_type) {
  ProgramNeeds needs = program ? needs_of(*program) : ProgramNeeds{};
  needs.cpu = true;
  needs.cgroup |= (sample_type & PERF_SAMPLE_CGROUP) != 0;
  return needs;
}

}  // namespace

// kernel: __perf_event_overflow, bpf_overflow_handler.
void PerfEvent::overflow(RunScope& scope, PerfSample& sample, void* context) {
  const std::shared_ptr<Program> program = program_;
  if (limit && --limit == 0) disable();
  scope.set_perf_event(state());
  if (program && !tracing() && !scope.call(*program, context, cookie_)) return;
  perf_event_sample(&scope.run(), state(), sample);
}

// Does the kernel pass the point on a system call's way, before that has its result?
bool in_call(const Point& point, const Event& event) {
  const Point::Where& where = point.where();
  if (event.number < 0 || event.number == SYS_execve || event.number == SYS_execveat) return false;
  return where.probe == Point::Probe::kKernel ? where.depth == Depth::kHandler || where.moment >= Moment::kHook
                                              : where.moment == Moment::kHook;
}

// kernel: perf_swevent_event. A period is the number of hits from one sample to the next; none: this one is not sampled.
std::optional<u64> PerfEvent::sampled_period() {
  const u64 period = attr().freq ? 1 : attr().sample_period;
  if (period == 0) return std::nullopt;
  const bool each = (attr().sample_type & PERF_SAMPLE_PERIOD) && !attr().freq;
  if (!each && ++left_ < period) return std::nullopt;
  left_ = 0;
  return each ? 1 : period;
}

void PerfEvent::watched(Task& task) {
  const std::shared_ptr<PerfEvent> self = weak_from_this().lock();
  if (attr().exclude_user || !counts_here(task.tid(), spec_.cpu < 0 ? 0 : probes_.host().cpu_of(task))) return;
  count_hit(task.tid());
  const auto period = sampled_period();
  if (!period) return;
  RunScope scope(probes_.runner(), &task, &task.regs(), needs_of_sample(program_, attr().sample_type), spec_.cpu);
  if (!scope) return;
  scope.set_in_interrupt();
  if (attr().sample_type & PERF_SAMPLE_READ) update_group();
  SampleOf of(scope, *this);
  of.sample.period = *period;
  of.sample.addr = attr().bp_addr;
  overflow(scope, of.sample, perf_event_context(scope.context_memory(), &task.regs(), *period, attr().bp_addr));
}

void PerfEvent::hit(RunScope& scope, EventRecord& record) {
  Task& task = *scope.task();
  if (!state().active || !tasks_.has(task.tid())) return;
  if (attr().exclude_kernel && !point()->where().in_user()) return;
  if (spec_.cpu >= 0 && probes_.host().cpu_of(task) != static_cast<u32>(spec_.cpu)) return;
  if (filter_ && !record.passes(*filter_)) return;
  count_hit(task.tid());
  const auto period = sampled_period();
  if (!period) return;
  SampleOf of(scope, *this, !point()->where().in_user(), in_call(*point(), record.event()));
  of.sample.period = *period;
  if ((attr().sample_type & PERF_SAMPLE_RAW) && state().ring) {
    of.sample.raw = record.bytes().data();
    of.sample.raw_size = static_cast<u32>(record.bytes().size());
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
  RunScope scope(probes_.runner(), task, regs, needs_of_sample(program_, attr().sample_type), spec_.cpu);
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
  RunScope scope(probes_.runner(), &task, nullptr, needs_of_sample(program_, attr().sample_type), spec_.cpu);
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

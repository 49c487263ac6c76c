// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/scheduler.h"

#include <fmt/format.h>
#include <time.h>

#include <cstring>

#include "emu/base/proc_files.h"
#include "emu/hook/record.h"
#include "emu/hook/sleepers.h"

namespace bpfemu {

namespace {

// Our own stop at the call's end gives the CPU away too, and what it takes until we look is not slept.
constexpr u64 kSlicesOfOurs = 1, kShortestSleep = 20'000;

constexpr Hook kHooksOfSleep[] = {Hook::trace_sched_switch, Hook::trace_sched_wakeup, Hook::trace_sched_waking,
                                  Hook::finish_task_switch, Hook::try_to_wake_up};

// kernel: __trace_sched_switch_state.
u32 shown_state(u32 state, bool leads) {
  constexpr u32 kDead = 0x80, kExitDead = 0x10, kExitZombie = 0x20;
  return state == kDead ? (leads ? kExitZombie : kExitDead) : state;
}

}  // namespace

std::optional<CpuUse> CpuUse::of(const Occasion& occasion) {
  const auto text = read_proc(occasion.task().tid(), "schedstat");
  CpuUse use{.time = occasion.services().host.clock(CLOCK_MONOTONIC)};
  if (!text || ::sscanf(text->c_str(), "%lu %lu %lu", &use.run_ns, &use.delay_ns, &use.slices) != 3) return std::nullopt;
  return use;
}

bool Scheduler::awaited(const Occasion& occasion) {
  return std::ranges::any_of(kHooksOfSleep, [&](Hook hook) { return occasion.awaited(hook); });
}

TaskFacts Scheduler::facts_of(pid_t tid, u32 cpu) const {
  if (tid) return occasion_.services().host.facts(tid).value_or(TaskFacts{.tid = tid, .tgid = tid});
  TaskFacts idle{.cpu = cpu};
  fmt::format_to_n(idle.comm, sizeof idle.comm - 1, "swapper/{}", cpu);
  return idle;
}

u64 Scheduler::task_struct(const Side& side, u32 cpu) const {
  const HookServices& services = occasion_.services();
  const u64 address = services.task_struct_of(facts_of(side.tid, cpu));
  const KernelStruct& type = services.objects.structure("task_struct");
  if (address) KernelObject(address, type).set("__state", static_cast<u32>(side.state));
  return address;
}

Event Scheduler::of(pid_t tid, u32 cpu, u64 time) const {
  Event event = occasion_.event();
  if (tid != (event.task ? event.task->tid() : 0)) event.task = tid ? occasion_.services().host.find_task(tid) : nullptr;
  if (!event.task) event.regs = nullptr;
  event.cpu = static_cast<s32>(cpu);
  event.time = time;
  return event;
}

void Scheduler::pass_switch(Side from, Side to, u32 cpu, u64 time) {
  Occasion before(occasion_, of(from.tid, cpu, time));
  before.trace(
      Hook::trace_sched_switch,
      [&](Arguments& a) {
        a[0] = false;  // preempt: of the kernel itself
        a.lazily(1, [&] { return task_struct(from, cpu); });
        a.lazily(2, [&] { return task_struct(to, cpu); });
        a[3] = static_cast<u64>(from.state);
      },
      [&](Record& r) {
        const TaskFacts prev = facts_of(from.tid, cpu), next = facts_of(to.tid, cpu);
        r.comm("prev_comm", prev);
        r.set("prev_pid", from.tid);
        r.set("prev_prio", prev.priority);
        r.set("prev_state", shown_state(static_cast<u32>(from.state), prev.tid == prev.tgid));
        r.comm("next_comm", next);
        r.set("next_pid", to.tid);
        r.set("next_prio", next.priority);
      });
  const Event arrived = of(to.tid, cpu, time);
  if (to.tid && !arrived.task) return;  // a child that the tracer has not met yet
  Occasion after(occasion_, arrived);
  after.enter(Hook::finish_task_switch, [&](Arguments& a) { a.lazily(0, [&] { return task_struct(from, cpu); }); })
      .leave(0);
}

void Scheduler::pass_wakeup(pid_t tid, u32 cpu, u64 time) {
  Occasion waker(occasion_, of(0, cpu, time));
  const auto woken = [&](Arguments& a) { a.lazily(0, [&] { return task_struct({tid, State::kRunning}, cpu); }); };
  const auto record = [&](Record& r) {
    const TaskFacts facts = facts_of(tid, cpu);
    r.comm("comm", facts);
    r.set("pid", tid);
    r.set("prio", facts.priority);
    r.set("target_cpu", cpu);
  };
  const Passing try_to_wake_up = waker.enter(Hook::try_to_wake_up, [&](Arguments& a) {
    woken(a);
    a[1] = 3;  // TASK_NORMAL
  });
  waker.trace(Hook::trace_sched_waking, woken, record);
  waker.trace(Hook::trace_sched_wakeup, woken, record);
  try_to_wake_up.leave(1);
}

u64 Scheduler::now() const {
  occasion_.services().sleepers.tell(occasion_);
  return occasion_.services().sleepers.in_order(occasion_.services().host.clock(CLOCK_MONOTONIC));
}

std::optional<u64> Scheduler::asleep_since(const CpuUse& before) const {
  const pid_t tid = occasion_.task().tid();
  const std::string stat = read_proc(tid, "stat").value_or("");
  const auto fields = stat_fields(stat);
  if (fields.empty() || (fields[0] != "S" && fields[0] != "D")) return std::nullopt;
  const auto use = CpuUse::of(occasion_);
  if (!use) return std::nullopt;
  const u64 used = use->run_ns - before.run_ns + use->delay_ns - before.delay_ns;
  return std::min(before.time + used, use->time);
}

std::optional<Scheduler::Rest> Scheduler::rest(const CpuUse& before) const {
  const auto after = CpuUse::of(occasion_);
  if (!after) return std::nullopt;
  const u64 elapsed = after->time - before.time;
  const u64 run = std::min(after->run_ns - before.run_ns, elapsed), delay = after->delay_ns - before.delay_ns;
  const u64 slept = elapsed > run + delay ? elapsed - run - delay : 0;
  // It ran about as long before as after; it waited for a CPU at the end.
  Rest rest{.asleep = slept >= kShortestSleep, .back = after->time - run / 2};
  rest.seen = after->slices - before.slices > kSlicesOfOurs;
  rest.woken = rest.back - std::min(delay, elapsed - run / 2);
  rest.off = rest.asleep ? before.time + run / 2 : rest.woken;
  return rest;
}

void Scheduler::fell_asleep(u64 time) {
  const pid_t tid = occasion_.task().tid();
  pass_switch({tid, State::kSleeping}, {}, facts_of(tid, 0).cpu, time);
}

void Scheduler::woke(u64 time, u64 back) {
  const pid_t tid = occasion_.task().tid();
  const u32 cpu = facts_of(tid, 0).cpu;
  pass_wakeup(tid, cpu, time);
  pass_switch({}, {tid}, cpu, back);
}

void Scheduler::waited(u64 time, u64 back) {
  const pid_t tid = occasion_.task().tid();
  const u32 cpu = facts_of(tid, 0).cpu;
  pass_switch({tid, State::kRunning}, {}, cpu, time);
  pass_switch({}, {tid}, cpu, back);
}

void Scheduler::ended() {
  const pid_t tid = occasion_.task().tid();
  occasion_.services().sleepers.left(occasion_);
  if (awaited(occasion_)) pass_switch({tid, State::kDead}, {}, facts_of(tid, 0).cpu, now());
}

void Scheduler::began(pid_t child) {
  const u32 cpu = facts_of(occasion_.task().tid(), 0).cpu;
  const auto begun = [&](Arguments& a) { a.lazily(0, [&] { return task_struct({child, State::kRunning}, cpu); }); };
  const Passing wake_up_new_task = occasion_.enter(Hook::wake_up_new_task, begun);
  occasion_.trace(
      Hook::trace_sched_wakeup_new, begun,
      [&](Record& r) {
        const TaskFacts facts = facts_of(child, cpu);
        r.comm("comm", facts);
        r.set("pid", child);
        r.set("prio", facts.priority);
        r.set("target_cpu", cpu);
      });
  wake_up_new_task.leave(0);
  if (awaited(occasion_)) pass_switch({}, {child}, cpu, now());
}

}  // namespace bpfemu

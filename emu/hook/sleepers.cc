// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/sleepers.h"

#include <vector>

namespace bpfemu {

void Sleepers::entered(const Occasion& call) {
  const auto use = CpuUse::of(call);
  if (!use) return;
  Sleeper& sleeper = sleepers_[call.task().tid()];
  sleeper.before = *use;
  sleeper.number = call.event().number;
  if (call.event().regs) sleeper.regs = *call.event().regs;
}

void Sleepers::left(Occasion& occasion) {
  auto node = sleepers_.extract(occasion.task().tid());
  if (!node) return;
  const Sleeper& sleeper = node.mapped();
  Scheduler scheduler(occasion);
  const auto rest = scheduler.rest(sleeper.before);
  if (!rest || !(rest->seen || sleeper.since)) return;
  occasion.services().unmodelled.note("scheduling but at calls that sleep, whose times are estimated");
  u64 since = sleeper.since;
  if (!since && rest->asleep) {
    tell(occasion, rest->off);
    scheduler.fell_asleep(since = in_order(rest->off));
  }
  tell(occasion, rest->back);
  const u64 back = in_order(rest->back);
  since ? scheduler.woke(std::max(rest->woken, since), back) : scheduler.waited(rest->woken, back);
}

// A look at a thread takes some ten microseconds. Of many, each is told of a little late rather than that the looks
// take more than a tenth of the time.
bool Sleepers::may_look(u64 now) {
  constexpr size_t kFew = 8;
  constexpr u64 kPause = 100'000;
  if (sleepers_.size() > kFew && now < look_again_) return false;
  look_again_ = now + sleepers_.size() * kPause;
  return true;
}

void Sleepers::tell(Occasion& occasion, u64 until) {
  if (!may_look(occasion.services().host.clock(CLOCK_MONOTONIC))) return;
  std::vector<std::pair<u64, pid_t>> fallen;
  for (const auto& [tid, sleeper] : sleepers_) {
    Task* const task =
        sleeper.since || tid == occasion.task().tid() ? nullptr : occasion.services().host.find_task(tid);
    if (!task) continue;
    Occasion asleep(occasion, Event{.task = task});
    const auto since = Scheduler(asleep).asleep_since(sleeper.before);
    if (since && *since <= until) fallen.emplace_back(*since, tid);
  }
  std::ranges::sort(fallen);
  // Programs that are told may take long, and calls begin and end meanwhile.
  for (const auto& [since, tid] : fallen) {
    const auto found = sleepers_.find(tid);
    Task* const task = found != sleepers_.end() ? occasion.services().host.find_task(tid) : nullptr;
    if (!task || found->second.since) continue;
    PtRegs regs = found->second.regs;
    Occasion asleep(occasion, Event{.task = task, .regs = &regs, .number = found->second.number});
    Scheduler(asleep).fell_asleep(found->second.since = in_order(since));
  }
}

}  // namespace bpfemu

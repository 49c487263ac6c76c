// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/bpf_timers.h"

#include <time.h>

#include <algorithm>
#include <cerrno>

#include "emu/base/bytes.h"
#include "emu/probe/runner.h"
#include "emu/runtime/maps/timer_key.h"

namespace bpfemu {

namespace {

constexpr u64 kSlice = 1'000'000;  // ns of callbacks at once
constexpr u64 kSoonest = 20'000;   // ns: a timer of the host's rings no sooner

u64 name_at(u64 timer) {
  return load<u64>(reinterpret_cast<const void*>(timer));
}

}  // namespace

BpfTimers::~BpfTimers() {
  if (alarm_at_) host_.cancel_timer(alarm_);
}

BpfTimers::Timer* BpfTimers::find(u64 timer) {
  const auto found = timers_.find(name_at(timer));
  return found != timers_.end() && found->second.address == timer ? &found->second : nullptr;
}

std::shared_ptr<MapObject> BpfTimers::home_of(u64 id, const Timer& timer) const {
  auto map = map_of_(timer.map_id);
  if (!map || (*map)->user_hold.expired() || name_at(timer.address) != id) return nullptr;
  return *map;
}

s64 BpfTimers::init(const Map& map, u64 timer) {
  if (name_at(timer)) return -EBUSY;
  const auto home = map_of_(map.id);
  if (!home || (*home)->user_hold.expired()) return -EPERM;
  if (timers_.size() >= sweep_at_) sweep();
  const u64 name = ++last_;
  timers_.emplace(name, Timer{.map_id = map.id, .address = timer, .program = nullptr});
  store(reinterpret_cast<void*>(timer), name);
  return 0;
}

s64 BpfTimers::set_callback(const ProgramText& program, u64 timer, u64 callback) {
  Timer* known = find(timer);
  if (!known) return -EINVAL;
  if (!home_of(name_at(timer), *known)) return -EPERM;
  auto held = program_of_(program.id);
  if (!held) return -EINVAL;
  known->program = *held;
  known->callback = callback;
  return 0;
}

s64 BpfTimers::start(u64 timer, u64 nsecs, u32 cpu) {
  Timer* known = find(timer);
  if (!known || !known->program) return -EINVAL;
  const u64 name = name_at(timer);
  disarm(name, *known);
  const u64 now = host_.clock(CLOCK_MONOTONIC);
  known->due = now + std::min(nsecs, ~u64{0} / 2);
  known->cpu = cpu;
  armed_.emplace(known->due, name);
  set_alarm();
  return 0;
}

s64 BpfTimers::cancel(u64 timer) {
  Timer* known = find(timer);
  if (!known) return -EINVAL;
  const u64 name = name_at(timer);
  if (name == running_) return -EDEADLK;
  const bool was_armed = known->due != 0;
  disarm(name, *known);
  known->program.reset();
  known->callback = 0;
  return was_armed;
}

void BpfTimers::disarm(u64 id, Timer& timer) {
  if (!timer.due) return;
  auto [at, end] = armed_.equal_range(timer.due);
  at = std::find_if(at, end, [=](const auto& each) { return each.second == id; });
  if (at != end) armed_.erase(at);
  timer.due = 0;
}

void BpfTimers::sweep() {
  for (auto at = timers_.begin(); at != timers_.end();) {
    auto& [id, timer] = *at;
    const bool gone = id != running_ && !home_of(id, timer);
    if (gone) disarm(id, timer);
    at = gone ? timers_.erase(at) : std::next(at);
  }
  sweep_at_ = 2 * timers_.size() + 64;
}

// kernel: bpf_timer_cb.
void BpfTimers::fire(u64 id) {
  Timer& timer = timers_.at(id);
  timer.due = 0;
  const auto map = home_of(id, timer);
  if (!map) {
    timers_.erase(id);
    return;
  }
  if (!timer.program) return;
  const auto program = timer.program;
  const auto callback = reinterpret_cast<MapCallback>(timer.callback);
  RunScope scope(runner_, nullptr, nullptr, ProgramNeeds::everything(), static_cast<int>(timer.cpu));
  if (!scope) return;
  scope.set_in_interrupt();
  const u64 value = timer.address - *map->timer_offset;
  u32 index = 0;
  const u64 key = timer_key(map->map(), value, index);
  running_ = id;
  scope.call_back(*program, callback, reinterpret_cast<u64>(&map->map()), key, value);
  running_ = 0;
}

void BpfTimers::run_due() {
  // The callback that runs has stood aside: it goes on first.
  if (running_) return;
  const u64 begin = host_.clock(CLOCK_MONOTONIC);
  for (u64 now = begin; !armed_.empty() && armed_.begin()->first <= now && now - begin < kSlice;
       now = host_.clock(CLOCK_MONOTONIC)) {
    const u64 id = armed_.begin()->second;
    armed_.erase(armed_.begin());
    fire(id);
  }
  set_alarm();
}

void BpfTimers::set_alarm() {
  const u64 first = armed_.empty() ? 0 : armed_.begin()->first;
  if (first == alarm_at_) return;
  if (alarm_at_) host_.cancel_timer(alarm_);
  alarm_at_ = first;
  if (!first) return;
  const u64 now = host_.clock(CLOCK_MONOTONIC);
  alarm_ = host_.add_timer(first > now + kSoonest ? first - now : kSoonest, [this] { run_due(); });
}

}  // namespace bpfemu

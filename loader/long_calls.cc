// SPDX-License-Identifier: Apache-2.0
#include "loader/long_calls.h"

#include <time.h>

#include <algorithm>

#include "loader/forced_signal.h"
#include "loader/moment.h"

namespace bpfemu {

namespace {

constexpr u64 kSlice = 500'000, kBetweenLooks = 20'000'000;
// Stacks that are kept for the next: as many calls as take long at once, commonly.
constexpr size_t kSpare = 8;

u64 now() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * u64{1'000'000'000} + t.tv_nsec;
}

}  // namespace

void LongCalls::begin(TracedTask* task, std::function<void()> work) {
  std::unique_ptr<Fiber> fiber;
  if (spare_.empty()) {
    fiber = Fiber::make();
  } else {
    fiber = std::move(spare_.back());
    spare_.pop_back();
  }
  if (!fiber) return work();
  fiber->begin(std::move(work));
  calls_.push_back({task, std::move(fiber), false, false, 0, {}});
  run(std::prev(calls_.end()));
}

bool LongCalls::ready() const {
  return std::ranges::any_of(calls_, [](const LongCall& call) { return !call.asleep; });
}

void LongCalls::run(Place call) {
  LongCall* const outer = std::exchange(current_, &*call);
  call->asleep = false;
  slice_began_ns_ = now();
  call->fiber->resume();
  current_ = outer;
  if (!call->fiber->done()) return;
  if (spare_.size() < kSpare) spare_.push_back(std::move(call->fiber));
  stops_.insert(stops_.end(), call->stops.begin(), call->stops.end());
  calls_.erase(call);
}

void LongCalls::run_slice() {
  const auto next = std::ranges::find_if(calls_, [](const LongCall& call) { return !call.asleep; });
  if (next == calls_.end()) return;
  calls_.splice(calls_.end(), calls_, next);
  run(next);
}

bool LongCalls::signalled(LongCall& call) {
  if (call.cut_short) return true;
  const u64 time = now();
  if (!call.task || time - call.looked_ns < kBetweenLooks) return false;
  call.looked_ns = time;
  return is_interrupted(*call.task);
}

bool LongCalls::stand_aside() {
  if (now() - slice_began_ns_ < kSlice) return false;
  current_->fiber->pause();
  return true;
}

bool LongCalls::breathe(const Task* task) {
  LongCall* const call = current_;
  if (!call || call->task != task) return false;
  (void)stand_aside();
  return call->cut_short;
}

bool LongCalls::pause() {
  LongCall* const call = current_;
  if (!call) return false;
  if (call->cut_short) return true;
  return stand_aside() && signalled(*call);
}

bool LongCalls::sleep(const TracedTask& task, const std::function<bool()>& done) {
  // Another thread may be gone when we wake.
  LongCall* const call = current_ && current_->task == &task ? current_ : nullptr;
  if (!call) return !comes_soon(done);
  while (!done()) {
    if (call->cut_short) return true;
    call->asleep = true;
    call->fiber->pause();
  }
  return false;
}

void LongCalls::wake() {
  for (LongCall& call : calls_) call.asleep = false;
}

void LongCalls::cut_short(Place call, const StopEvent& stop) {
  call->cut_short = true;
  call->task->gone();
  call->stops.push_back(stop);
  run(call);
}

bool LongCalls::end_of_thread(pid_t tid, const StopEvent& stop) {
  return end_of([tid](const TracedTask& task) { return task.tid() == tid; }, stop);
}

bool LongCalls::end_of_group(pid_t tgid, const StopEvent& stop) {
  return end_of([tgid](const TracedTask& task) { return task.tgid() == tgid; }, stop);
}

// Of a group the stop is handed out when the last has ended.
bool LongCalls::end_of(const std::function<bool(const TracedTask&)>& ends, const StopEvent& stop) {
  const auto call = std::ranges::find_if(calls_, [&](const LongCall& each) { return each.task && ends(*each.task); });
  if (call == calls_.end()) return true;
  cut_short(call, stop);
  return false;
}

void LongCalls::end_all() {
  while (!calls_.empty()) {
    const Place call = calls_.begin();
    call->cut_short = true;
    run(call);
    if (calls_.empty() || calls_.begin() != call) continue;
    stops_.insert(stops_.end(), call->stops.begin(), call->stops.end());
    Fiber::abandon(std::move(call->fiber));
    calls_.erase(call);
  }
}

}  // namespace bpfemu

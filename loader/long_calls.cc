// SPDX-License-Identifier: Apache-2.0
#include "loader/long_calls.h"

#include <time.h>

#include <algorithm>

#include "loader/forced_signal.h"

namespace bpfemu {

namespace {

constexpr u64 kBetweenLooks = 20'000'000;

u64 now() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * u64{1'000'000'000} + t.tv_nsec;
}

}  // namespace

void LongCalls::begin(TracedTask& task, std::function<void()> answer) {
  std::unique_ptr<Fiber> fiber = spare_ ? std::move(spare_) : Fiber::make();
  if (!fiber) return answer();
  fiber->begin(std::move(answer));
  calls_.push_back({task, std::move(fiber), false, now()});
  run(std::prev(calls_.end()));
}

bool LongCalls::has(pid_t tid) const {
  return std::any_of(calls_.begin(), calls_.end(), [&](const LongCall& call) { return call.task.tid() == tid; });
}

void LongCalls::run(std::list<LongCall>::iterator call) {
  LongCall* const outer = std::exchange(current_, &*call);
  call->fiber->resume();
  current_ = outer;
  if (!call->fiber->done()) return;
  spare_ = std::move(call->fiber);
  calls_.erase(call);
}

void LongCalls::run_slice() {
  if (calls_.empty()) return;
  calls_.splice(calls_.end(), calls_, calls_.begin());
  run(std::prev(calls_.end()));
}

bool LongCalls::pause() {
  LongCall* const call = current_;
  if (!call) return false;
  if (!call->cut_short) call->fiber->pause();
  if (call->cut_short) return true;
  const u64 time = now();
  if (time - call->looked_ns < kBetweenLooks) return false;
  call->looked_ns = time;
  return is_interrupted(call->task);
}

void LongCalls::cut_short(std::list<LongCall>::iterator call) {
  call->cut_short = true;
  run(call);  // a call that is cut short does not pause again
}

void LongCalls::end_of_thread(pid_t tid) {
  for (auto it = calls_.begin(); it != calls_.end();)
    if (const auto call = it++; call->task.tid() == tid) cut_short(call);
}

void LongCalls::end_of_group(pid_t tgid) {
  for (auto it = calls_.begin(); it != calls_.end();)
    if (const auto call = it++; call->task.tgid() == tgid) cut_short(call);
}

void LongCalls::end_all() {
  while (!calls_.empty()) cut_short(calls_.begin());
}

}  // namespace bpfemu

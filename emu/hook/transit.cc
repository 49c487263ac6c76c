// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/transit.h"

#include <sys/syscall.h>

#include <initializer_list>

#include "emu/hook/paths.h"
#include "emu/hook/sleepers.h"

namespace bpfemu {

namespace {

using Narrator = Path (*)(Transit& call);

struct Narrators {
  std::array<Narrator, kSyscallLimit> of_call{};

  Narrators() {
    auto add = [this](Narrator narrator, std::initializer_list<long> calls) {
      for (long number : calls) of_call[static_cast<size_t>(number)] = narrator;
    };
#define PATH(path, ...) add(path, {__VA_ARGS__});
#include "emu/abi/paths.inc"
#undef PATH
  }
};

}  // namespace

Transit::Transit(HookSink& sink, const HookServices& services, Task& task, PtRegs& regs, long number)
    : Occasion(sink, services, Event{.task = &task, .regs = &regs, .number = number}), args_(syscall_arguments(regs)) {}

void Transit::untold(Hook hook) {
  if (awaited(hook) || decided(hook)) services_.unmodelled.note("kprobe", row_of(hook).name);
}

std::optional<s64> Transits::begin(Task& task, PtRegs& regs, long number) {
  static const Narrators kNarrators;
  const Narrator narrator = kNarrators.of_call[static_cast<size_t>(number)];
  const auto call = std::make_shared<Transit>(sink_, services_, task, regs, number);
  calls_[task.tid()] = call;
  // Whose call was begun anew has been awake for it.
  services_.sleepers.left(*call);
  if (Scheduler::awaited(*call)) services_.sleepers.entered(*call);
  if (!narrator) return std::nullopt;
  call->path_ = narrator(*call);
  if (const auto start = call->path_.handle()) start.resume();
  return call->denial_;
}

s64 Transits::end(Task& task, PtRegs& regs, long number, s64 result) {
  const auto found = calls_.find(task.tid());
  if (found == calls_.end()) return result;
  const std::shared_ptr<Transit> call = found->second;
  if (call->number() != number) return calls_.erase(found), result;
  call->event_.task = &task;
  call->event_.regs = &regs;
  call->result_ = result;
  call->denial_.reset();
  services_.sleepers.left(*call);
  if (call->waiting_) std::exchange(call->waiting_, nullptr).resume();
  return call->denial_.value_or(result);
}

void Transits::leave(Task& task) {
  const auto call = calls_.extract(task.tid());
  if (call && call.mapped()->leaving_) std::exchange(call.mapped()->leaving_, nullptr).resume();
}

void Transits::renamed(pid_t from, pid_t to) {
  auto moved = calls_.extract(from);
  calls_.erase(to);
  if (moved) {
    moved.key() = to;
    calls_.insert(std::move(moved));
  }
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Functions of bpf itself, which running programs and map commands pass.
#include <algorithm>

#include "emu/probe/probes.h"
#include "emu/runtime/passing.h"

namespace bpfemu {

Outlets Probes::with_functions(Outlets outlets) {
  functions_listened_ = outlets.functions_listened;
  outlets.function_entered = [this](RunScope& within, const RuntimeCall& call) { return function_entered(within, call); };
  outlets.function_left = [this](RunScope& within, const RuntimeCall& call, u64 result) {
    function_left(within, call, result);
  };
  return outlets;
}

void Probes::refresh_functions() {
  constexpr u32 kFunctions = static_cast<u32>(RuntimeFunction::kCount);
  std::vector<u8> listened(kFunctions);
  bool any = false, more = false;
  for (u32 n = 0; n < kFunctions; ++n) {
    const Hook hook = hook_of_runtime(n);
    listened[n] = awaited(hook, Side::kEntry) || awaited(hook, Side::kReturn);
    any |= listened[n] != 0;
    more |= listened[n] && (listened_.empty() || !listened_[n]);
  }
  if (listened_.empty() && !any) return;
  listened_.resize(kFunctions);
  std::ranges::copy(listened, listened_.begin());
  runner_.listened = any ? listened_.data() : nullptr;
  if (more && functions_listened_) functions_listened_(listened_.data());
}

namespace {

Event event_within(RunScope& scope) {
  const Run& run = scope.run();
  Task* const task = scope.task();
  return {.task = task,
          .regs = run.regs || !task ? run.regs : &task->regs(),
          .number = task ? task->call_number() : -1,
          .cpu = static_cast<s32>(run.cpu->id),
          .within = &run};
}

void fill(Arguments& arguments, const RuntimeCall& call, Unmodelled& unmodelled) {
  for (u32 n = 0; n < kRuntimeArguments; ++n) arguments[n] = call.arguments[n];
  if (call.function != static_cast<u32>(RuntimeFunction::bpf_local_storage_lookup)) return;
  arguments.lazily(0, [&] { return unmodelled.note("struct bpf_local_storage"), 0; });
}

}  // namespace

u64 Probes::function_entered(RunScope& within, const RuntimeCall& call) {
  const u64 listeners = points_made_;
  Occasion occasion(*this, services_, event_within(within));
  (void)occasion.enter(hook_of_runtime(call.function), [&](Arguments& a) { fill(a, call, parts_.unmodelled); });
  return listeners;
}

void Probes::function_left(RunScope& within, const RuntimeCall& call, u64 result) {
  const Hook hook = hook_of_runtime(call.function);
  Occasion occasion(*this, services_, event_within(within));
  Arguments arguments(looked_at(hook));
  fill(arguments, call, parts_.unmodelled);
  Passing(occasion, hook, arguments, call.listeners).leave(static_cast<s64>(result));
}

}  // namespace bpfemu

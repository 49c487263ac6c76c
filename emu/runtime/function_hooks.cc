// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/function_hooks.h"

namespace bpfemu {

namespace {

u64 now(const Run* run) {
  constexpr int kMonotonic = 1;
  return run->env && run->env->clock ? run->env->clock(run->env->self, kMonotonic) : 0;
}

// What the outer program is left as it was.
void call_one(const FunctionHooks::Called& called, FunctionFrame* frame, Run* run) {
  const ProgramText* const program = run->program;
  void* const context = run->context;
  const u64 cookie = run->cookie, func_ip = run->func_ip, return_ip = run->return_ip;
  const u32 tail_calls = run->tail_calls;
  run->program = called.text;
  run->context = frame->values;
  run->cookie = called.cookie;
  run->func_ip = frame->address;
  run->tail_calls = 0;
  const u64 start = run->counted ? now(run) : 0;
  called.text->entry(run, frame->values);
  if (run->counted) ++called.text->stat_runs, called.text->stat_ns += now(run) - start;
  run->program = program;
  run->context = context;
  run->cookie = cookie;
  run->func_ip = func_ip;
  run->return_ip = return_ip;
  run->tail_calls = tail_calls;
}

// The context of the outer program is another struct to the kernel.
void show_arguments(FunctionFrame* frame, Run* run) {
  const u64 context = reinterpret_cast<u64>(run->context);
  for (u32 i = 0; i < FunctionHooks::kArguments; ++i) {
    const u64 value = frame->given[i];
    const bool shown = value && value == context && run->env && run->env->shown_context;
    frame->values[i] = shown ? run->env->shown_context(run->env->self, run) : value;
  }
}

}  // namespace

// Who comes or goes while a program stands aside may be called or not.
extern "C" void bpfemu_function_entered(const FunctionHooks* hooks, FunctionFrame* frame, Run* run) {
  frame->address = hooks->address;
  frame->count = hooks->arguments;
  if (hooks->before_count) show_arguments(frame, run);
  for (u32 i = 0; i < hooks->before_count; ++i) call_one(hooks->before[i], frame, run);
}

extern "C" u64 bpfemu_function_left(const FunctionHooks* hooks, FunctionFrame* frame, Run* run, u64 result) {
  if (hooks->after_count) show_arguments(frame, run);
  frame->values[frame->count] = result;
  for (u32 i = 0; i < hooks->after_count; ++i) call_one(hooks->after[i], frame, run);
  return result;
}

}  // namespace bpfemu

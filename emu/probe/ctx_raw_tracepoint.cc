// SPDX-License-Identifier: Apache-2.0
// Arguments of raw tracepoints (kernel: bpf_trace_run*). Pointers lead to kernel objects in the arena.
#include <algorithm>

#include "emu/probe/contexts.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

// What an argument can point to, next to the arguments.
struct Args {
  u64 value[Arguments::kMost];
  PtRegs regs;
};

Args& args_in(void* memory) {
  return *new (memory) Args{};
}

u64 regs_of(Args& args, const Event& event) {
  args.regs = *event.regs;
  return reinterpret_cast<u64>(&args.regs);
}

}  // namespace

// (struct pt_regs *regs, long id)
void* sys_enter_args(Probes&, const Event& event, const Point&, void* memory) {
  Args& args = args_in(memory);
  args.value[0] = regs_of(args, event);
  args.value[1] = static_cast<u64>(event.number);
  return args.value;
}

// (struct pt_regs *regs, long ret)
void* sys_exit_args(Probes&, const Event& event, const Point&, void* memory) {
  Args& args = args_in(memory);
  args.value[0] = regs_of(args, event);
  args.value[1] = static_cast<u64>(event.result);
  return args.value;
}

void* hook_args(Probes&, const Event& event, const Point&, void* memory) {
  Args& args = args_in(memory);
  std::ranges::copy(event.arguments->values(), args.value);
  return args.value;
}

}  // namespace bpfemu

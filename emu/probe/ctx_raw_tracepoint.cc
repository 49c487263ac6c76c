// SPDX-License-Identifier: Apache-2.0
// Arguments of raw tracepoints (kernel: bpf_trace_run*). Pointers lead to kernel objects in the arena.
#include "emu/probe/contexts.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

// What an argument can point to, next to the arguments.
struct Args {
  u64 value[8];
  PtRegs regs;
  struct {
    s32 signal, error, code, pad;
    u64 fields[14];
  } siginfo;
};

Args& args_in(void* memory) {
  return *new (memory) Args{};
}

u64 regs_of(Args& args, const Event& event) {
  args.regs = *event.regs;
  return reinterpret_cast<u64>(&args.regs);
}

u64 task_struct(Probes& probes, pid_t tid) {
  return probes.runner().task_struct(tid);
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

// (struct task_struct *parent, struct task_struct *child)
void* process_fork_args(Probes& probes, const Event& event, const Point&, void* memory) {
  Args& args = args_in(memory);
  args.value[0] = task_struct(probes, event.task->tid());
  args.value[1] = task_struct(probes, event.other);
  return args.value;
}

// (struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
void* process_exec_args(Probes& probes, const Event& event, const Point& point, void* memory) {
  Args& args = args_in(memory);
  constexpr u32 kBeforeProgram = 2 * sizeof(u64);
  if (point.programs()[0].program->verified.max_ctx_offset > kBeforeProgram) {
    probes.unmodelled().note("struct linux_binprm of sched_process_exec");
  }
  args.value[0] = task_struct(probes, event.task->tid());
  args.value[1] = static_cast<u64>(s64{event.other});
  return args.value;
}

// (struct task_struct *p)
void* process_exit_args(Probes& probes, const Event& event, const Point&, void* memory) {
  Args& args = args_in(memory);
  args.value[0] = task_struct(probes, event.task->tid());
  return args.value;
}

// (int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result)
void* signal_generate_args(Probes& probes, const Event& event, const Point&, void* memory) {
  Args& args = args_in(memory);
  args.siginfo = {.signal = event.signal, .error = event.error, .code = event.code, .pad = 0, .fields = {}};
  args.value[0] = static_cast<u64>(event.signal);
  args.value[1] = reinterpret_cast<u64>(&args.siginfo);
  args.value[2] = task_struct(probes, event.other);
  args.value[3] = event.group;
  args.value[4] = static_cast<u64>(event.outcome);
  return args.value;
}

}  // namespace bpfemu

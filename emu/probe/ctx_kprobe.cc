// SPDX-License-Identifier: Apache-2.0
// Registers of a kernel function that a system call passes. Its arguments come from the table of functions; pointers
// lead to kernel objects next to the registers.
#include <algorithm>
#include <cerrno>

#include "emu/hook/functions.h"
#include "emu/kernel/kernel_data.h"
#include "emu/probe/contexts.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

constexpr u32 kInRegs = 6;  // arguments
constexpr u64 kKernelCs = 0x10, kKernelSs = 0x18, kKernelFlags = 0x246;

// The vCPU's context memory while a kprobe runs.
struct KernelFrame {
  PtRegs regs;    // of the function
  PtRegs user;    // of the thread, which the handlers of system calls get a pointer to
  u64 stack[16];  // where rsp points: the return address, then arguments beyond the sixth
  u64 scratch[6];
};
static_assert(sizeof(KernelFrame) <= kContextSize);

// The same while a program on a trampoline runs: the context begins at `values`, and helpers look before it
// (kernel: arch_prepare_bpf_trampoline).
struct TrampolineFrame {
  u64 function;
  u64 count;
  u64 values[Arguments::kMost + 1];  // arguments, then the result
  PtRegs user;
  u64 scratch[6];
};
static_assert(sizeof(TrampolineFrame) <= kContextSize);

KernelFrame& frame_in(void* memory, const Event& event) {
  auto& frame = *new (memory) KernelFrame{};
  if (event.regs) frame.user = *event.regs;  // the idle task has none
  frame.regs.cs = kKernelCs;
  frame.regs.ss = kKernelSs;
  frame.regs.eflags = kKernelFlags;
  frame.regs.orig_rax = ~u64{0};
  frame.regs.rsp = reinterpret_cast<u64>(frame.stack);
  return frame;
}

// A hook's come with the event; the dispatcher's and the handlers' are made here.
Arguments arguments_of(const Event& event, const Point& point, PtRegs& user, u64 (&scratch)[6]) {
  if (event.arguments) return *event.arguments;
  Arguments arguments;
  point.where().function->arguments({.number = event.number,
                                     .args = syscall_arguments(*event.regs),
                                     .regs = reinterpret_cast<u64>(&user),
                                     .scratch = scratch},
                                    arguments);
  return arguments;
}

void* trampoline_args(const Event& event, const Point& point, void* memory, u64 result) {
  const Point::Where& where = point.where();
  auto& frame = *new (memory) TrampolineFrame{};
  frame.function = where.address;
  frame.count = where.record_size / sizeof(u64);
  if (frame.count > Arguments::kMost) return nullptr;
  if (event.regs) frame.user = *event.regs;  // the idle task has none
  frame.user.rax = static_cast<u64>(-ENOSYS);  // as it is until the call has returned
  const Arguments arguments = arguments_of(event, point, frame.user, frame.scratch);
  std::copy_n(arguments.values().begin(), frame.count, frame.values);
  frame.values[frame.count] = result;
  return frame.values;
}

// Functions around the path of a call do not return in a task that was just made; a hook's return is told by its path.
bool passes_by(const Event& event) { return !event.arguments && is_first_return(event); }

// Where the function's caller goes on.
u64 return_address(const Event& event, const Point& point) {
  KernelFrames frames;
  point.probes().kernel().stacks().append(point.where().function->caller, event.stack_row(), frames);
  return frames.ips[0];
}

}  // namespace

void* fentry_args(Probes&, const Event& event, const Point& point, void* memory) {
  return trampoline_args(event, point, memory, 0);
}

void* fexit_args(Probes&, const Event& event, const Point& point, void* memory) {
  if (passes_by(event)) return nullptr;
  return trampoline_args(event, point, memory, static_cast<u64>(event.result));
}

void* kernel_entry_regs(Probes&, const Event& event, const Point& point, void* memory) {
  KernelFrame& frame = frame_in(memory, event);
  const Arguments arguments = arguments_of(event, point, frame.user, frame.scratch);
  PtRegs& regs = frame.regs;
  regs.rdi = arguments[0];
  regs.rsi = arguments[1];
  regs.rdx = arguments[2];
  regs.rcx = arguments[3];
  regs.r8 = arguments[4];
  regs.r9 = arguments[5];
  regs.rip = point.where().address + 1;  // behind the breakpoint, as handlers see it
  frame.stack[0] = return_address(event, point);
  for (u32 n = kInRegs; n < Arguments::kMost; ++n) frame.stack[1 + n - kInRegs] = arguments[n];
  return &regs;
}

// Of what is no hook, the result is the call's, where it has one.
void* kernel_return_regs(Probes&, const Event& event, const Point& point, void* memory) {
  if (passes_by(event)) return nullptr;
  KernelFrame& frame = frame_in(memory, event);
  frame.regs.rax = static_cast<u64>(event.result);
  frame.regs.rip = return_address(event, point);
  return &frame.regs;
}

}  // namespace bpfemu

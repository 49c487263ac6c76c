// SPDX-License-Identifier: Apache-2.0
// Registers of a kernel function that a system call passes. Its arguments come from the table of functions; pointers
// lead to kernel objects next to the registers.
#include <algorithm>
#include <cerrno>

#include "emu/kernel/functions.h"
#include "emu/kernel/kernel_data.h"
#include "emu/probe/contexts.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

constexpr u64 kKernelCs = 0x10, kKernelSs = 0x18, kKernelFlags = 0x246;

// The vCPU's context memory while a kprobe runs.
struct KernelFrame {
  PtRegs regs;    // of the function
  PtRegs user;    // of the thread, which the handlers of system calls get a pointer to
  u64 stack[16];  // where rsp points: the return address, then arguments beyond the sixth
  u8 objects[2048];
};
static_assert(sizeof(KernelFrame) <= kContextSize);

// The same while a program on a trampoline runs: the context begins at `values`, and helpers look before it
// (kernel: arch_prepare_bpf_trampoline).
struct TrampolineFrame {
  u64 function;
  u64 count;
  u64 values[7];  // arguments, then the result
  PtRegs user;
  u8 objects[2048];
};
static_assert(sizeof(TrampolineFrame) <= kContextSize);

KernelFrame& frame_in(void* memory, const Event& event) {
  auto& frame = *new (memory) KernelFrame{};
  frame.user = *event.regs;
  frame.regs.cs = kKernelCs;
  frame.regs.ss = kKernelSs;
  frame.regs.eflags = kKernelFlags;
  frame.regs.orig_rax = ~u64{0};
  frame.regs.rsp = reinterpret_cast<u64>(frame.stack);
  return frame;
}

void* trampoline_args(const Event& event, const Point& point, void* memory, u64 result) {
  const Point::Where& where = point.where();
  auto& frame = *new (memory) TrampolineFrame{};
  frame.function = where.address;
  frame.count = where.record_size / sizeof(u64);
  frame.user = *event.regs;
  frame.user.rax = static_cast<u64>(-ENOSYS);  // as it is until the call has returned
  KernelCall call{.task = event.task,
                  .number = event.number,
                  .args = syscall_arguments(*event.regs),
                  .regs = reinterpret_cast<u64>(&frame.user),
                  .scratch = frame.objects,
                  .scratch_size = sizeof frame.objects};
  std::array<u64, 6> arguments{};
  if (frame.count > arguments.size() || !where.function->arguments(call, arguments)) return nullptr;
  std::copy_n(arguments.begin(), frame.count, frame.values);
  frame.values[frame.count] = result;
  return frame.values;
}

// Does the system call come to the function at all?
bool reaches(KernelFrame& frame, const Event& event, const Point& point, std::array<u64, 6>& arguments) {
  KernelCall call{.task = event.task,
                  .number = event.number,
                  .args = syscall_arguments(*event.regs),
                  .regs = reinterpret_cast<u64>(&frame.user),
                  .scratch = frame.objects,
                  .scratch_size = sizeof frame.objects};
  return point.where().function->arguments(call, arguments);
}

// Where the function's caller goes on.
u64 return_address(const Event& event, const Point& point) {
  KernelFrames frames;
  point.probes().kernel().stacks().append(point.where().function->caller, event.number, frames);
  return frames.ips[0];
}

}  // namespace

void* fentry_args(Probes&, const Event& event, const Point& point, void* memory) {
  return trampoline_args(event, point, memory, 0);
}

void* fexit_args(Probes&, const Event& event, const Point& point, void* memory) {
  if (is_first_return(event)) return nullptr;
  return trampoline_args(event, point, memory, static_cast<u64>(event.result));
}

void* kernel_entry_regs(Probes&, const Event& event, const Point& point, void* memory) {
  KernelFrame& frame = frame_in(memory, event);
  std::array<u64, 6> arguments{};
  if (!reaches(frame, event, point, arguments)) return nullptr;
  PtRegs& regs = frame.regs;
  regs.rdi = arguments[0];
  regs.rsi = arguments[1];
  regs.rdx = arguments[2];
  regs.rcx = arguments[3];
  regs.r8 = arguments[4];
  regs.r9 = arguments[5];
  regs.rip = point.where().address + 1;  // behind the breakpoint, as handlers see it
  frame.stack[0] = return_address(event, point);
  return &regs;
}

// Returns what the call returned, where the call came that far.
void* kernel_return_regs(Probes&, const Event& event, const Point& point, void* memory) {
  if (is_first_return(event)) return nullptr;
  KernelFrame& frame = frame_in(memory, event);
  std::array<u64, 6> arguments{};
  if (!reaches(frame, event, point, arguments)) return nullptr;
  frame.regs.rax = point.where().function->returns_result ? static_cast<u64>(event.result) : 0;
  frame.regs.rip = return_address(event, point);
  return &frame.regs;
}

}  // namespace bpfemu

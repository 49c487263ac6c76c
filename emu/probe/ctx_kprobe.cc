// SPDX-License-Identifier: Apache-2.0
// Registers of a kernel function that a system call passes. Its arguments come from the table of functions; pointers
// lead to kernel objects next to the registers.
#include "emu/kernel/functions.h"
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

}  // namespace

void* kernel_entry_regs(Probes&, const Event& event, const Point& point, void* memory) {
  KernelFrame& frame = frame_in(memory, event);
  KernelCall call{.task = event.task,
                  .number = event.number,
                  .args = syscall_arguments(*event.regs),
                  .regs = reinterpret_cast<u64>(&frame.user),
                  .scratch = frame.objects,
                  .scratch_size = sizeof frame.objects};
  std::array<u64, 6> arguments{};
  if (!point.where().function->arguments(call, arguments)) return nullptr;
  PtRegs& regs = frame.regs;
  regs.rdi = arguments[0];
  regs.rsi = arguments[1];
  regs.rdx = arguments[2];
  regs.rcx = arguments[3];
  regs.r8 = arguments[4];
  regs.r9 = arguments[5];
  regs.rip = point.where().address + 1;  // behind the breakpoint, as handlers see it
  return &regs;
}

void* kernel_return_regs(Probes&, const Event& event, const Point& point, void* memory) {
  KernelFrame& frame = frame_in(memory, event);
  frame.regs.rax = point.where().function->returns_result ? static_cast<u64>(event.result) : 0;
  frame.regs.rip = point.where().address;
  return &frame.regs;
}

}  // namespace bpfemu

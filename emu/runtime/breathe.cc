// SPDX-License-Identifier: Apache-2.0
// What a program does when it has looped for a while.
#include "emu/runtime/run.h"

// JIT code calls from between two instructions: whatever the stack's alignment, all registers of BPF's stay as they are.
asm(R"(
.text
.p2align 4
.globl bpfemu_jit_breathe
.hidden bpfemu_jit_breathe
.type bpfemu_jit_breathe, @function
bpfemu_jit_breathe:
  pushq %rbp
  movq %rsp, %rbp
  pushq %rax
  pushq %rdi
  pushq %rsi
  pushq %rdx
  pushq %rcx
  pushq %r8
  andq $-16, %rsp
  movq %r12, %rdi
  callq bpfemu_out_of_breath
  leaq -48(%rbp), %rsp
  popq %r8
  popq %rcx
  popq %rdx
  popq %rsi
  popq %rdi
  popq %rax
  popq %rbp
  ret
.size bpfemu_jit_breathe, . - bpfemu_jit_breathe
)");

extern "C" void bpfemu_out_of_breath(bpfemu::Run* run) {
  run->breaths = bpfemu::kBreaths;
  const bpfemu::u64 now = __builtin_ia32_rdtsc();
  if (now - run->breathed < bpfemu::kBreathTicks) return;
  run->breathed = now;
  if (run->env && run->env->breathe && run->cpu && run->cpu->held_count == 0) run->env->breathe(run->env->self);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* How a thread comes into the image and leaves it: with all registers and flags but rax, rcx and r11, which a system call
   changes. Places are told in InsideHead (inside.h). */
#include "emu/runtime/inside/offsets.h"

  .section .head, "ax", @progbits
head:
  .long entry - head, taking - head, taken - head, running - head, checked - head, left - head, released - head
  .long refused - head, asked - head, parting - head, parted - head, end - head
  .long bpfemu_inside_helpers - head

/* rax: InsideSlot::from. */
entry:
  movabs $INSIDE_SLOTS, %r11
next:
  mov $1, %ecx
  xchg %ecx, SLOT_BUSY(%r11)
taking:
  jrcxz taken
  lea INSIDE_SLOT_SIZE(%r11), %r11
  movabs $-INSIDE_SLOTS_END, %rcx
  lea (%rcx, %r11), %rcx
  jrcxz none
  jmp next
none: /* as many threads as there are slots: this one asks. No flag may change */
  movabs $-INSIDE_STUBS, %rcx
  lea (%rcx, %rax), %rcx
  bswap %rcx
  mov %ecx, %ecx
  jrcxz none_of_stub
  lea -2(%rax), %rcx
  mov $321, %eax
  jmp refused
none_of_stub:
  lea -INSIDE_ASK_SIZE(%rax), %rcx
refused:
  jmp *%rcx

taken:
  mov %rax, SLOT_FROM(%r11)
  mov %rdi, SLOT_RDI(%r11)
  mov %rsi, SLOT_RSI(%r11)
  mov %rdx, SLOT_RDX(%r11)
  mov %r10, SLOT_R10(%r11)
  mov %r8, SLOT_R8(%r11)
  mov %r9, SLOT_R9(%r11)
  mov %rsp, SLOT_RSP(%r11)
  mov %rbx, SLOT_RBX(%r11)
  mov %rbp, SLOT_RBP(%r11)
  mov %r12, SLOT_R12(%r11)
  mov %r13, SLOT_R13(%r11)
  mov %r14, SLOT_R14(%r11)
  mov %r15, SLOT_R15(%r11)
  lea INSIDE_STACK(%r11), %rsp
  pushfq
  pop SLOT_FLAGS(%r11)
running:
  cld
  mov %r11, %rdi
  movabs $INSIDE_STATE, %rsi
  call bpfemu_inside_call
  lea -INSIDE_STACK(%rsp), %r11
  cmpl $0, SLOT_LEAVES(%r11)
checked:
  je leaving
  mov SLOT_ASKS_AT(%r11), %rcx
  jrcxz parting
  mov %rcx, SLOT_GOES_TO(%r11)
leaving:
  push SLOT_FLAGS(%r11)
  popfq
  mov SLOT_RDI(%r11), %rdi
  mov SLOT_RSI(%r11), %rsi
  mov SLOT_RDX(%r11), %rdx
  mov SLOT_R10(%r11), %r10
  mov SLOT_R8(%r11), %r8
  mov SLOT_R9(%r11), %r9
  mov SLOT_RAX(%r11), %rax
  mov SLOT_GOES_TO(%r11), %rcx
  mov SLOT_RSP(%r11), %rsp
left: /* and nothing is told to whoever takes it next */
  movq $0, SLOT_BUSY(%r11)
released:
  jmp *%rcx

/* s64 bpfemu_inside_ask(u64, u64, u64, u32 number): a system call. */
  .globl bpfemu_inside_ask
bpfemu_inside_ask:
  mov %ecx, %eax
  syscall
asked:
  ret

parting: /* the supervisor takes the thread out of here */
  mov $INSIDE_REQUEST, %eax
  syscall
parted:
  ud2
end:

  .section .note.GNU-stack, "", @progbits

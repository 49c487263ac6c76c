// SPDX-License-Identifier: Apache-2.0
// Runs every arithmetic, conditional and atomic opcode on a real kernel and prints what came out: golden.txt.
// Build and run as root: cc -I../.. record.c -o record && ./record > golden.txt
//
// A line: opcode, immediate (or - for a register operand), first operand, then results for each second operand (for
// immediates and unary operations: one). Jumps give 1 when taken. Atomics work on the first operand in memory, with the
// second one's complement in the source register and the second one in R0; they give memory/source register/R0.
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define kProbeMem 0x20
#define kTailCall 0xf0
#define kNoSpec 0xc0

enum { kAny, kImm, kSource };
struct opcode {
  const char* name;
  uint8_t code;
  int selector, selected;
  const char *operation, *form;
};
static const struct opcode opcodes[] = {
#define OPCODE(name, code, selector, selected, operation, form, text) \
  {#name, code, selector, selected, #operation, #form},
#include "emu/abi/opcodes.inc"
};

static const uint64_t edges[] = {0, 1, 0x7f, 0xffffffff, 0x80000000, 0x123456789abcdef0, 0x8000000000000000, ~0ull};
static const int32_t immediates[] = {0, 1, 31, -1, 0x7fffffff, (int32_t)0x80000000};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static long bpf(int command, union bpf_attr* attr) {
  return syscall(SYS_bpf, command, attr, sizeof *attr);
}

// Context: operands at 0 and 8, R0 at 16; results at 24, 32, 40.
static int load(const struct opcode* op, int32_t imm) {
  const int atomic = BPF_CLASS(op->code) == BPF_STX;
  const int jump = !strcmp(op->form, "jump_if");
  struct bpf_insn p[32];
  int n = 0;
#define EMIT(...) p[n++] = (struct bpf_insn){__VA_ARGS__}
  EMIT(BPF_ALU64 | BPF_MOV | BPF_X, 9, 1, 0, 0);
  EMIT(BPF_LDX | BPF_MEM | BPF_DW, 2, 9, 0, 0);
  EMIT(BPF_LDX | BPF_MEM | BPF_DW, 3, 9, 8, 0);
  EMIT(BPF_LDX | BPF_MEM | BPF_DW, 0, 9, 16, 0);
  EMIT(BPF_STX | BPF_MEM | BPF_DW, 10, 2, -8, 0);
  if (atomic) {
    EMIT(op->code, 10, 3, -8, op->selected);
    EMIT(BPF_LDX | BPF_MEM | BPF_DW, 2, 10, -8, 0);
  } else if (jump) {
    EMIT(op->code, 2, BPF_SRC(op->code) ? 3 : 0, 2, imm);
    EMIT(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0);
    EMIT(BPF_JMP | BPF_JA, 0, 0, 1, 0);
    EMIT(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 1);
  } else {
    const int unary = op->selector == kImm || !strcmp(op->form, "neg");
    EMIT(op->code, 2, !unary && BPF_SRC(op->code) ? 3 : 0, 0, imm);
  }
  EMIT(BPF_STX | BPF_MEM | BPF_DW, 9, 2, 24, 0);
  EMIT(BPF_STX | BPF_MEM | BPF_DW, 9, 3, 32, 0);
  EMIT(BPF_STX | BPF_MEM | BPF_DW, 9, 0, 40, 0);
  EMIT(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
  EMIT(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SYSCALL,
                         .insns = (uintptr_t)p,
                         .insn_cnt = n,
                         .license = (uintptr_t) "GPL",
                         .prog_flags = BPF_F_SLEEPABLE};
  return bpf(BPF_PROG_LOAD, &attr);
}

static void run(const struct opcode* op, int fd, uint64_t a, uint64_t b) {
  uint64_t context[6] = {a, BPF_CLASS(op->code) == BPF_STX ? ~b : b, b};
  union bpf_attr attr = {.test = {.prog_fd = fd, .ctx_in = (uintptr_t)context, .ctx_size_in = sizeof context}};
  if (bpf(BPF_PROG_TEST_RUN, &attr)) {
    perror(op->name);
    exit(1);
  }
  printf(" %llx", (unsigned long long)context[3]);
  if (BPF_CLASS(op->code) == BPF_STX)
    printf("/%llx/%llx", (unsigned long long)context[4], (unsigned long long)context[5]);
}

static int wanted(const struct opcode* op) {
  static const char* const forms[] = {
      "alu",    "mul",          "div",      "shift",           "mov", "neg", "to_le", "to_be", "jump_if",
      "atomic", "atomic_fetch", "exchange", "compare_exchange"};
  for (size_t i = 0; i < COUNT(forms); ++i)
    if (!strcmp(op->form, forms[i])) return 1;
  return 0;
}

int main(void) {
  for (const struct opcode* op = opcodes; op < opcodes + COUNT(opcodes); ++op) {
    if (!wanted(op)) continue;
    const int by_register = BPF_CLASS(op->code) == BPF_STX || (op->selector == kAny && BPF_SRC(op->code) == BPF_X);
    const int unary = op->selector == kImm || !strcmp(op->form, "neg");
    for (size_t i = 0; i < (by_register || unary ? 1 : COUNT(immediates)); ++i) {
      const int32_t imm = by_register ? 0 : op->selector == kImm ? op->selected : unary ? 0 : immediates[i];
      const int fd = load(op, imm);
      if (fd < 0) continue;  // the verifier refuses it: a shift too far, a division by the constant 0
      for (size_t a = 0; a < COUNT(edges); ++a) {
        if (by_register)
          printf("%s - %llx", op->name, (unsigned long long)edges[a]);
        else
          printf("%s %d %llx", op->name, imm, (unsigned long long)edges[a]);
        for (size_t b = 0; b < (by_register ? COUNT(edges) : 1); ++b) run(op, fd, edges[a], edges[b]);
        printf("\n");
      }
      close(fd);
    }
  }
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// In front of each function of a program that others hang on: who is called before and after it, or in its place.
#include "emu/jit/emitter.h"
#include "emu/runtime/function_hooks.h"

namespace bpfemu {

using namespace Xbyak;

void Emitter::hook_code(size_t function) {
  const u64 hooks = reinterpret_cast<u64>(&input_.hooks[function]);
  constexpr u32 kGiven = offsetof(FunctionFrame, given);
  Label replaced, body;
  mov(r11, hooks);
  mov(r10, qword[r11 + offsetof(FunctionHooks, replacement)]);
  test(r10, r10);
  jnz(replaced, T_NEAR);
  cmp(dword[r11 + offsetof(FunctionHooks, count)], 0);
  je(body, T_NEAR);
  push(rbp);
  mov(rbp, rsp);
  sub(rsp, sizeof(FunctionFrame));
  static_assert(sizeof(FunctionFrame) % 16 == 0);
  for (u32 n = 0; n < FunctionHooks::kArguments; ++n) mov(qword[rsp + kGiven + n * sizeof(u64)], reg(1 + n));
  mov(rdi, r11);
  mov(rsi, rsp);
  mov(rdx, r12);
  call_address(reinterpret_cast<u64>(bpfemu_function_entered));
  for (u32 n = 0; n < FunctionHooks::kArguments; ++n) mov(reg(1 + n), qword[rsp + kGiven + n * sizeof(u64)]);
  call(body);
  mov(rdi, hooks);
  mov(rsi, rsp);
  mov(rdx, r12);
  mov(rcx, rax);
  call_address(reinterpret_cast<u64>(bpfemu_function_left));
  leave();
  ret();
  L(replaced);
  jmp(qword[r10 + offsetof(ProgramText, function_entry)]);
  L(body);
}

}  // namespace bpfemu

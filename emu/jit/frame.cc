// SPDX-License-Identifier: Apache-2.0
// How code is entered and left. Native code comes in through the entry (Run*, context) or a callback entry (five
// arguments, Run*); both save r12, load it with the Run and call the subprogram. Subprograms call each other directly.
#include "emu/base/bytes.h"
#include "emu/jit/emitter.h"

namespace bpfemu {

using namespace Xbyak;

namespace {

// Jumps backwards, whose turns are counted in the Run.
bool loops(const Insn& insn) {
  const u8 kind = BPF_CLASS(insn.code), operation = BPF_OP(insn.code);
  if ((kind != BPF_JMP && kind != BPF_JMP32) || operation == BPF_CALL || operation == BPF_EXIT) return false;
  return (operation == BPF_JA ? jump_distance(insn) : insn.off) < 0;
}

// Instructions that hand control, or the Run, to native code.
bool calls_out(const Insn& insn) {
  const u8 mode = BPF_MODE(insn.code);
  return insn.code == (BPF_JMP | BPF_CALL) ||
         (BPF_CLASS(insn.code) == BPF_LD && (mode == BPF_ABS || mode == BPF_IND)) ||
         (BPF_CLASS(insn.code) == BPF_LDX && mode == kProbeMem);
}

bool divides(const Insn& insn) {
  const u8 kind = BPF_CLASS(insn.code), operation = BPF_OP(insn.code);
  return (kind == BPF_ALU || kind == BPF_ALU64) && (operation == BPF_DIV || operation == BPF_MOD);
}

}  // namespace

// What each subprogram needs. Frames are as the kernel's: BPF's stack lies directly below rbp, saved registers below.
std::vector<Function> Emitter::survey() const {
  std::vector<Function> functions(input_.subprogram_starts.size());
  for (size_t i = 0; i < functions.size(); ++i) {
    Function& function = functions[i];
    function.begin = input_.subprogram_starts[i];
    function.end = static_cast<u32>(i + 1 < functions.size() ? input_.subprogram_starts[i + 1] : input_.insns.size());
    function.stack = static_cast<u32>(round_up(input_.stack_depths[i], 8));
    bool uses_frame = false, has_division = false;
    for (u32 at = function.begin; at < function.end; ++at) {
      const Insn& insn = input_.insns[at];
      for (u32 r : {u32{insn.dst_reg}, u32{insn.src_reg}}) {
        if (r >= 6 && r <= 9) function.saved[r - 6] = true;
        uses_frame |= r == 10;
      }
      function.calls |= calls_out(insn);
      function.loops |= loops(insn);
      has_division |= divides(insn);
      if (is_load_imm64(insn)) ++at;
    }
    function.counts = function.loops && !function.calls && !has_division;
    function.framed = function.stack != 0 || function.calls || uses_frame;
    u32 pushed = 0;
    for (bool saved : function.saved) pushed += saved ? 8 : 0;
    if (function.calls && (function.stack + pushed) % 16 != 0) function.stack += 8;
  }
  // A second walk, for functions whose address is taken anywhere.
  for (u32 at = 0; at < input_.insns.size(); ++at) {
    const Insn& insn = input_.insns[at];
    if (!is_load_imm64(insn)) continue;
    const s64 target = s64{at} + 1 + insn.imm;
    for (Function& function : functions)
      if (insn.src_reg == BPF_PSEUDO_FUNC && function.begin == target) function.callback = true;
    ++at;
  }
  return functions;
}

// u64 entry(Run*, void* context). A program that never needs its Run starts without further ado.
void Emitter::entry_code() {
  entry_ = static_cast<u32>(getSize());
  if (!needs_run_) {
    mov(rdi, rsi);
    return;
  }
  push(r12);
  mov(r12, rdi);
  mov(rdi, rsi);
  if (counts_tail_calls_) mov(dword[r12 + offsetof(Run, tail_calls)], 0);
  call_offset(previous_.functions[0]);
  pop(r12);
  ret();
}

// u64 callback(u64, u64, u64, u64, u64, Run*): r12 belongs to the helper that calls.
void Emitter::callback_code(size_t function) {
  layout_.callbacks[function] = static_cast<u32>(getSize());
  push(r12);
  mov(r12, r9);
  call_offset(previous_.functions[function]);
  pop(r12);
  ret();
}

void Emitter::prologue(const Function& function) {
  if (function.framed) {
    push(rbp);
    mov(rbp, rsp);
    if (function.stack) sub(rsp, function.stack);
  }
  for (u32 i = 0; i < 4; ++i)
    if (function.saved[i]) push(reg(6 + i));
  if (function.counts) take_breaths();
}

void Emitter::restore_frame() {
  if (function().counts) leave_breaths();
  for (u32 i = 4; i-- > 0;)
    if (function().saved[i]) pop(reg(6 + i));
  if (function().framed) leave();
}

void Emitter::epilogue() {
  layout_.exits[current_function_] = static_cast<u32>(getSize());
  restore_frame();
  ret();
}

}  // namespace bpfemu

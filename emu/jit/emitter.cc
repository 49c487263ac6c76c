// SPDX-License-Identifier: Apache-2.0
#include "emu/jit/emitter.h"

#include <algorithm>

namespace bpfemu {

using namespace Xbyak;

// clang-format off
const Emitter::Emit Emitter::kEmitters[] = {
#define OPCODE(name, code, selector, selected, operation, form, text) &Emitter::emit_##form,
#include "emu/abi/opcodes.inc"
#undef OPCODE
};
// clang-format on

Emitter::Emitter(const Executable& input, u64 address, std::span<u8> buffer)
    : CodeGenerator(buffer.size(), buffer.data()),
      input_(input),
      address_(address),
      functions_(survey()),
      short_(input.insns.size(), false) {
  previous_.insns.resize(input.insns.size() + 1);
  previous_.functions.resize(functions_.size());
  previous_.bodies.resize(functions_.size());
  previous_.exits.resize(functions_.size());
  previous_.callbacks.resize(functions_.size());
  layout_ = previous_;
  for (const Insn& insn : input.insns) counts_tail_calls_ |= insn.code == (BPF_JMP | kTailCall);
  for (const Function& function : functions_) needs_run_ |= function.calls || function.loops;
  needs_run_ |= counts_tail_calls_ || !input.hooks.empty();
}

Result<void> Emitter::pass(bool frozen) {
  std::swap(previous_, layout_);
  frozen_ = frozen;
  reset();

  entry_code();
  for (current_function_ = 0; current_function_ < functions_.size(); ++current_function_) {
    const Function& function = functions_[current_function_];
    current_ = function.begin;
    layout_.functions[current_function_] = static_cast<u32>(getSize());
    if (!input_.hooks.empty()) hook_code(current_function_);
    layout_.bodies[current_function_] = static_cast<u32>(getSize());
    prologue(function);
    for (; current_ < function.end; ++current_) {
      const Insn& insn = input_.insns[current_];
      const OpcodeInfo* info = decode(insn);
      if (!info || insn.dst_reg > 10 || insn.src_reg > 10) return fail(EINVAL);
      if (is_load_imm64(insn) && current_ + 1 >= function.end) return fail(EINVAL);
      start_ = getSize();
      layout_.insns[current_] = static_cast<u32>(start_);
      (this->*kEmitters[static_cast<size_t>(info->opcode)])(insn, *info);
      // The second half of a constant is no instruction.
      if (is_load_imm64(insn)) layout_.insns[++current_] = static_cast<u32>(getSize());
    }
    epilogue();
  }
  layout_.insns[input_.insns.size()] = static_cast<u32>(getSize());
  for (size_t i = 0; i < functions_.size(); ++i)
    if (functions_[i].callback) callback_code(i);
  layout_.size = static_cast<u32>(getSize());

  first_pass_ = false;
  if (refused_ || GetError() != ERR_NONE) return fail(EINVAL);
  return {};
}

namespace {

constexpr int kRegisters[] = {Operand::RAX, Operand::RDI, Operand::RSI, Operand::RDX, Operand::RCX, Operand::R8,
                              Operand::RBX, Operand::R13, Operand::R14, Operand::R15, Operand::RBP};

}  // namespace

Reg64 Emitter::reg(u32 bpf_register) {
  return Reg64(kRegisters[bpf_register]);
}

Reg32e Emitter::reg(u32 bpf_register, bool wide) {
  return Reg32e(kRegisters[bpf_register], wide ? 64 : 32);
}

Address Emitter::memory(u32 bpf_register, s16 offset, u32 size) const {
  return Address(size * 8, false, RegExp(reg(bpf_register)) + static_cast<size_t>(s64{offset}));
}

size_t Emitter::subprogram_at(s64 start) {
  auto it = std::find_if(functions_.begin(), functions_.end(), [=](const Function& f) { return f.begin == start; });
  if (it != functions_.end()) return static_cast<size_t>(it - functions_.begin());
  refuse();
  return 0;
}

}  // namespace bpfemu

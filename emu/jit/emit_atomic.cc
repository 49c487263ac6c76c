// SPDX-License-Identifier: Apache-2.0
#include "emu/jit/emitter.h"

namespace bpfemu {

using namespace Xbyak;

void Emitter::emit_atomic(const Insn& insn, const OpcodeInfo& info) {
  lock();
  arithmetic(info.operation, memory(insn.dst_reg, insn.off, info.access_size()),
             reg(insn.src_reg, info.access_size() == 8));
}

// x86 can fetch and add; for the rest, compute and compare-exchange until nobody came in between.
void Emitter::emit_atomic_fetch(const Insn& insn, const OpcodeInfo& info) {
  const bool wide = info.access_size() == 8;
  if (info.operation == Operation::add) {
    lock();
    xadd(memory(insn.dst_reg, insn.off, info.access_size()), reg(insn.src_reg, wide));
    return;
  }
  // cmpxchg works on rax, which is R0: r11 stands in for it.
  auto stand_in = [&](u32 r) { return r == 0 ? Reg64(Operand::R11) : reg(r); };
  const Address target(wide ? 64 : 32, false, RegExp(stand_in(insn.dst_reg)) + static_cast<size_t>(s64{insn.off}));
  const Reg32e operand(stand_in(insn.src_reg).getIdx(), wide ? 64 : 32);
  const Reg32e old = wide ? Reg32e(rax) : Reg32e(eax);
  const Reg32e changed = wide ? Reg32e(r10) : Reg32e(r10d);
  Label again;
  mov(r11, rax);
  mov(old, target);
  L(again);
  mov(changed, old);
  arithmetic(info.operation, changed, operand);
  lock();
  cmpxchg(target, changed);
  jne(again, T_SHORT);
  if (insn.src_reg == 0) return;  // the old value is where it belongs
  mov(reg(insn.src_reg), rax);
  mov(rax, r11);
}

void Emitter::emit_exchange(const Insn& insn, const OpcodeInfo& info) {
  xchg(memory(insn.dst_reg, insn.off, info.access_size()), reg(insn.src_reg, info.access_size() == 8));
}

void Emitter::emit_compare_exchange(const Insn& insn, const OpcodeInfo& info) {
  const bool wide = info.access_size() == 8;
  lock();
  cmpxchg(memory(insn.dst_reg, insn.off, info.access_size()), reg(insn.src_reg, wide));
  // A 32-bit exchange that succeeds leaves the upper half of rax alone.
  if (!wide) mov(eax, eax);
}

}  // namespace bpfemu

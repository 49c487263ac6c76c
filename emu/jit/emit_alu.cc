// SPDX-License-Identifier: Apache-2.0
#include "emu/jit/emitter.h"

namespace bpfemu {

using namespace Xbyak;

void Emitter::arithmetic(Operation operation, const Operand& to, const Operand& from) {
  switch (operation) {
    case Operation::add: add(to, from); break;
    case Operation::sub: sub(to, from); break;
    case Operation::bit_or: or_(to, from); break;
    case Operation::bit_and: and_(to, from); break;
    case Operation::bit_xor: xor_(to, from); break;
    default: refuse();
  }
}

void Emitter::emit_alu(const Insn& insn, const OpcodeInfo& info) {
  const Reg32e to = reg(insn.dst_reg, info.wide());
  if (!info.immediate()) return arithmetic(info.operation, to, reg(insn.src_reg, info.wide()));
  const u32 imm = static_cast<u32>(insn.imm);
  switch (info.operation) {
    case Operation::add: add(to, imm); break;
    case Operation::sub: sub(to, imm); break;
    case Operation::bit_or: or_(to, imm); break;
    case Operation::bit_and: and_(to, imm); break;
    case Operation::bit_xor: xor_(to, imm); break;
    default: refuse();
  }
}

void Emitter::emit_mul(const Insn& insn, const OpcodeInfo& info) {
  const Reg32e to = reg(insn.dst_reg, info.wide());
  info.immediate() ? imul(to, to, insn.imm) : imul(to, reg(insn.src_reg, info.wide()));
}

// By zero: 0 for a quotient, the dividend for a remainder.
void Emitter::emit_div(const Insn& insn, const OpcodeInfo& info) {
  const Reg32e to = reg(insn.dst_reg, info.wide());
  const bool quotient = info.operation == Operation::div;
  auto by_zero = [&] { quotient ? xor_(to.cvt32(), to.cvt32()) : mov(to.cvt32(), to.cvt32()); };
  const bool nothing_by_zero = !quotient && info.wide();

  if (info.immediate()) {
    if (insn.imm == 0) {
      if (!nothing_by_zero) by_zero();
      return;
    }
    mov(info.wide() ? Reg32e(r11) : Reg32e(r11d),
        info.wide() ? static_cast<u64>(s64{insn.imm}) : static_cast<u32>(insn.imm));
    return divide(insn, info, info.wide() ? Reg32e(r11) : Reg32e(r11d));
  }

  Label divisible, done;
  Reg32e divisor = reg(insn.src_reg, info.wide());
  test(divisor, divisor);
  if (nothing_by_zero) {
    jz(done, T_SHORT);
  } else {
    jnz(divisible, T_SHORT);
    by_zero();
    jmp(done, T_SHORT);
  }
  L(divisible);
  if (divisor.getIdx() == Operand::RAX || divisor.getIdx() == Operand::RDX) {
    mov(r11, reg(insn.src_reg));
    divisor = info.wide() ? Reg32e(r11) : Reg32e(r11d);
  }
  divide(insn, info, divisor);
  L(done);
}

// div works on rdx:rax, which hold R3 and R0; `divisor` is neither.
void Emitter::divide(const Insn& insn, const OpcodeInfo& info, const Reg32e& divisor) {
  const Reg64 to = reg(insn.dst_reg);
  const bool keep_rax = to.getIdx() != Operand::RAX, keep_rdx = to.getIdx() != Operand::RDX;
  if (keep_rax) mov(r10, rax);
  if (keep_rdx) mov(r9, rdx);
  if (keep_rax) mov(rax, to);
  xor_(edx, edx);
  div(divisor);
  const Reg64 result = info.operation == Operation::div ? rax : rdx;
  if (to.getIdx() != result.getIdx()) mov(to, result);
  if (keep_rdx) mov(rdx, r9);
  if (keep_rax) mov(rax, r10);
}

void Emitter::shift_by_cl(Operation operation, const Reg32e& value) {
  switch (operation) {
    case Operation::lsh: shl(value, cl); break;
    case Operation::rsh: shr(value, cl); break;
    case Operation::arsh: sar(value, cl); break;
    default: refuse();
  }
}

void Emitter::emit_shift(const Insn& insn, const OpcodeInfo& info) {
  const bool wide = info.wide();
  const Reg32e to = reg(insn.dst_reg, wide);
  if (info.immediate()) {
    const int count = insn.imm & (wide ? 63 : 31);
    if (count == 0) {
      if (!wide) mov(to, to);
      return;
    }
    switch (info.operation) {
      case Operation::lsh: return shl(to, count);
      case Operation::rsh: return shr(to, count);
      case Operation::arsh: return sar(to, count);
      default: return refuse();
    }
  }

  const Reg32e count = reg(insn.src_reg, wide);
  if (count.getIdx() == Operand::RCX) return shift_by_cl(info.operation, to);
  if (input_.bmi2) {
    switch (info.operation) {
      case Operation::lsh: return shlx(to, to, count);
      case Operation::rsh: return shrx(to, to, count);
      case Operation::arsh: return sarx(to, to, count);
      default: return refuse();
    }
  }
  // The count must be in cl, which is R4's.
  const bool shifts_rcx = to.getIdx() == Operand::RCX;
  mov(r11, rcx);
  mov(ecx, count.cvt32());
  shift_by_cl(info.operation, shifts_rcx ? Reg32e(Operand::R11, wide ? 64 : 32) : to);
  mov(rcx, r11);
}

void Emitter::emit_mov(const Insn& insn, const OpcodeInfo& info) {
  const Reg32e to = reg(insn.dst_reg, info.wide());
  if (!info.immediate()) {
    if (!info.wide() || insn.dst_reg != insn.src_reg) mov(to, reg(insn.src_reg, info.wide()));
  } else if (insn.imm == 0) {
    xor_(to.cvt32(), to.cvt32());
  } else {
    mov(to, info.wide() ? static_cast<u64>(s64{insn.imm}) : static_cast<u32>(insn.imm));
  }
}

void Emitter::emit_neg(const Insn& insn, const OpcodeInfo& info) {
  neg(reg(insn.dst_reg, info.wide()));
}

void Emitter::emit_to_le(const Insn& insn, const OpcodeInfo&) {
  const Reg64 to = reg(insn.dst_reg);
  if (insn.imm == 16) movzx(to.cvt32(), to.cvt16());
  if (insn.imm == 32) mov(to.cvt32(), to.cvt32());
}

void Emitter::emit_to_be(const Insn& insn, const OpcodeInfo&) {
  const Reg64 to = reg(insn.dst_reg);
  if (insn.imm == 16) {
    ror(to.cvt16(), 8);
    movzx(to.cvt32(), to.cvt16());
  } else {
    bswap(reg(insn.dst_reg, insn.imm == 64));
  }
}

}  // namespace bpfemu

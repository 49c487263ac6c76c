// SPDX-License-Identifier: Apache-2.0
#include "emu/jit/emitter.h"

namespace bpfemu {

using namespace Xbyak;

namespace {

constexpr int kAlways = -1;

// The condition code of jcc.
int condition_code(Operation operation) {
  switch (operation) {
    case Operation::lt: return 0x2;   // b
    case Operation::ge: return 0x3;   // ae
    case Operation::eq: return 0x4;   // e
    case Operation::ne: return 0x5;   // ne
    case Operation::set: return 0x5;  // ne, after a test
    case Operation::le: return 0x6;   // be
    case Operation::gt: return 0x7;   // a
    case Operation::slt: return 0xc;  // l
    case Operation::sge: return 0xd;  // ge
    case Operation::sle: return 0xe;  // le
    case Operation::sgt: return 0xf;  // g
    default: return kAlways;
  }
}

}  // namespace

// To an offset of the code. Jumps start long; once short, a jump stays short, since code only shrinks.
void Emitter::jump_to(u32 target, int condition) {
  const s64 distance = s64{target} - (s64{here()} + 2);
  if (!frozen_) short_[current_] = !first_pass_ && distance >= -128 && distance <= 127;
  if (short_[current_]) {
    db(condition == kAlways ? 0xeb : 0x70 + condition);
    db(static_cast<u8>(distance));
    return;
  }
  const s64 base = s64{here()};
  if (condition == kAlways) {
    db(0xe9);
    dd(static_cast<u32>(s64{target} - (base + 5)));
  } else {
    db(0x0f);
    db(0x80 + condition);
    dd(static_cast<u32>(s64{target} - (base + 6)));
  }
}

// A loop's turn is counted, so that it lets others go on: in a register where one is free, since what a short turn stores
// its next one waits for.
void Emitter::breathe() {
  if (input_.apart) return refuse();
  Label on;
  const bool in_register = function().counts;
  in_register ? dec(r9d) : dec(dword[r12 + offsetof(Run, breaths)]);
  jge(on, T_SHORT);
  if (in_register) leave_breaths();
  mov(r11, reinterpret_cast<u64>(bpfemu_jit_breathe));
  call(r11);
  if (in_register) take_breaths();
  L(on);
}

void Emitter::take_breaths() {
  mov(r9d, dword[r12 + offsetof(Run, breaths)]);
}

void Emitter::leave_breaths() {
  mov(dword[r12 + offsetof(Run, breaths)], r9d);
}

void Emitter::emit_jump(const Insn& insn, const OpcodeInfo&) {
  const s32 distance = jump_distance(insn);
  if (distance < 0) breathe();
  const s64 target = static_cast<s64>(current_) + 1 + distance;
  if (target < function().begin || target >= function().end) return refuse();
  if (distance != 0) jump_to(previous_.insns[static_cast<size_t>(target)], kAlways);
}

void Emitter::emit_jump_if(const Insn& insn, const OpcodeInfo& info) {
  const s64 target = static_cast<s64>(current_) + 1 + insn.off;
  if (target < function().begin || target >= function().end) return refuse();
  if (insn.off < 0) breathe();
  const Xbyak::Reg32e left = reg(insn.dst_reg, info.wide());
  if (!info.immediate()) {
    const Xbyak::Reg32e right = reg(insn.src_reg, info.wide());
    info.operation == Operation::set ? test(left, right) : cmp(left, right);
  } else if (info.operation == Operation::set) {
    test(left, static_cast<u32>(insn.imm));
  } else if (insn.imm == 0) {
    test(left, left);
  } else {
    cmp(left, static_cast<u32>(insn.imm));
  }
  jump_to(previous_.insns[static_cast<size_t>(target)], condition_code(info.operation));
}

// The last instruction of a subprogram falls into its epilogue.
void Emitter::emit_exit(const Insn&, const OpcodeInfo&) {
  if (current_ + 1 != function().end) jump_to(previous_.exits[current_function_], kAlways);
}

}  // namespace bpfemu

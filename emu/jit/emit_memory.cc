// SPDX-License-Identifier: Apache-2.0
#include "emu/arena/layout.h"
#include "emu/jit/emitter.h"

namespace bpfemu {

using namespace Xbyak;

void Emitter::emit_load_imm64(const Insn& insn, const OpcodeInfo&) {
  const Reg64 to = reg(insn.dst_reg);
  const u64 value = constant_of(&insn);
  value == 0 ? xor_(to.cvt32(), to.cvt32()) : mov(to, value);
}

void Emitter::load_from(const Reg64& to, const RegExp& from, u32 size) {
  switch (size) {
    case 1: return movzx(to.cvt32(), byte[from]);
    case 2: return movzx(to.cvt32(), word[from]);
    case 4: return mov(to.cvt32(), dword[from]);
    default: return mov(to, qword[from]);
  }
}

void Emitter::emit_load(const Insn& insn, const OpcodeInfo& info) {
  load_from(reg(insn.dst_reg), RegExp(reg(insn.src_reg)) + static_cast<size_t>(s64{insn.off}), info.access_size());
}

// Only what lies in the arena is loaded; everything else reads as 0.
void Emitter::emit_load_probe(const Insn& insn, const OpcodeInfo& info) {
  if (input_.apart) return refuse();
  Label outside, done;
  const Reg64 to = reg(insn.dst_reg);
  lea(r11, ptr[RegExp(reg(insn.src_reg)) + static_cast<size_t>(s64{insn.off})]);
  mov(r10, kArenaBase);
  cmp(r11, r10);
  jb(outside, T_SHORT);
  mov(r10, qword[r12 + offsetof(Run, env)]);
  mov(r10, qword[r10 + offsetof(Env, arena_end)]);
  sub(r10, info.access_size());
  cmp(r11, r10);
  ja(outside, T_SHORT);
  load_from(to, RegExp(r11), info.access_size());
  jmp(done, T_SHORT);
  L(outside);
  xor_(to.cvt32(), to.cvt32());
  L(done);
}

void Emitter::emit_store_imm(const Insn& insn, const OpcodeInfo& info) {
  const u32 size = info.access_size();
  const s64 value = size == 1 ? static_cast<s8>(insn.imm) : size == 2 ? static_cast<s16>(insn.imm) : insn.imm;
  mov(memory(insn.dst_reg, insn.off, size), static_cast<size_t>(value));
}

void Emitter::emit_store_reg(const Insn& insn, const OpcodeInfo& info) {
  const Reg64 from = reg(insn.src_reg);
  const Address to = memory(insn.dst_reg, insn.off, info.access_size());
  switch (info.access_size()) {
    case 1: return mov(to, from.cvt8());
    case 2: return mov(to, from.cvt16());
    case 4: return mov(to, from.cvt32());
    default: return mov(to, from);
  }
}

// Programs run in user space, for the user who loaded them: there is nothing to protect from speculation.
void Emitter::emit_no_speculation(const Insn&, const OpcodeInfo&) {}

}  // namespace bpfemu

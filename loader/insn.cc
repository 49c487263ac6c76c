// SPDX-License-Identifier: Apache-2.0
#include "loader/insn.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "emu/base/bytes.h"

namespace bpfemu {
namespace {

using Kind = StepPlan::Kind;

s8 register_number(ZydisRegister reg) {
  if (reg < ZYDIS_REGISTER_RAX || reg > ZYDIS_REGISTER_R15) return -1;
  return static_cast<s8>(reg - ZYDIS_REGISTER_RAX);
}

// By the encoding's register number.
u64& register_value(PtRegs& regs, s8 number) {
  u64* const by_number[16] = {&regs.rax, &regs.rcx, &regs.rdx, &regs.rbx, &regs.rsp, &regs.rbp, &regs.rsi, &regs.rdi,
                              &regs.r8,  &regs.r9,  &regs.r10, &regs.r11, &regs.r12, &regs.r13, &regs.r14, &regs.r15};
  return *by_number[number];
}

bool is_relative(const ZydisDecodedInstruction& insn) {
  return insn.raw.imm[0].is_relative && insn.raw.imm[0].size != 0;
}

Result<StepPlan> plan_relative(const ZydisDecodedInstruction& insn) {
  StepPlan plan{.kind = Kind::kJump, .length = insn.length, .displacement = insn.raw.imm[0].value.s};
  switch (insn.meta.category) {
    case ZYDIS_CATEGORY_CALL: plan.kind = Kind::kCall; return plan;
    case ZYDIS_CATEGORY_UNCOND_BR: return plan;
    case ZYDIS_CATEGORY_COND_BR: break;
    default: return fail(ENOTSUP);  // xbegin
  }
  const bool counted = insn.opcode >= 0xe0 && insn.opcode <= 0xe3;
  if (counted && insn.address_width != 64) return fail(ENOTSUP);
  plan.kind = counted ? Kind::kCountedJump : Kind::kBranch;
  plan.condition = counted ? insn.opcode : insn.opcode & 0xf;
  return plan;
}

Result<StepPlan> plan_indirect_call(const ZydisDecodedInstruction& insn, const ZydisDecodedOperand& target) {
  StepPlan plan{.kind = Kind::kCallIndirect, .length = insn.length};
  if (insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || insn.operand_width != 64) return fail(ENOTSUP);
  if (target.type == ZYDIS_OPERAND_TYPE_REGISTER) {
    plan.base = register_number(target.reg.value);
    return plan;
  }
  if (target.mem.segment == ZYDIS_REGISTER_FS || target.mem.segment == ZYDIS_REGISTER_GS) return fail(ENOTSUP);
  if (insn.address_width != 64) return fail(ENOTSUP);
  plan.memory = true;
  plan.rip_relative = target.mem.base == ZYDIS_REGISTER_RIP;
  plan.base = register_number(target.mem.base);
  plan.index = register_number(target.mem.index);
  plan.scale = target.mem.scale;
  plan.displacement = target.mem.disp.has_displacement ? target.mem.disp.value : 0;
  return plan;
}

bool refused(const ZydisDecodedInstruction& insn) {
  if (insn.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) return true;
  return insn.meta.category == ZYDIS_CATEGORY_INTERRUPT || insn.meta.category == ZYDIS_CATEGORY_SYSRET;
}

Result<void> push(Task& task, PtRegs& regs, u64 value) {
  TRY(task.write(regs.rsp - 8, &value, 8));
  regs.rsp -= 8;
  return {};
}

bool condition_holds(u8 condition, u64 eflags) {
  const bool cf = eflags & 1, pf = eflags & 4, zf = eflags & 0x40, sf = eflags & 0x80, of = eflags & 0x800;
  const bool base[8] = {of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of};
  return base[condition >> 1] != (condition & 1);
}

bool counted_jump_taken(u8 opcode, PtRegs& regs) {
  if (opcode == 0xe3) return regs.rcx == 0;
  const bool zf = regs.eflags & 0x40;
  if (--regs.rcx == 0) return false;
  return opcode == 0xe2 || (opcode == 0xe1) == zf;
}

Result<u64> call_target(const StepPlan& plan, Task& task, PtRegs& regs, u64 next) {
  if (!plan.memory) return register_value(regs, plan.base);
  u64 address = static_cast<u64>(plan.displacement);
  if (plan.rip_relative) address += next;
  if (plan.base >= 0) address += register_value(regs, plan.base);
  if (plan.index >= 0) address += register_value(regs, plan.index) * plan.scale;
  u64 target = 0;
  TRY(task.read(address, &target, 8));
  return target;
}

bool fits_32(s64 value) {
  return value >= std::numeric_limits<s32>::min() && value <= std::numeric_limits<s32>::max();
}

}  // namespace

Result<StepPlan> plan_step(std::span<const u8> bytes) {
  ZydisDecoder decoder;
  ZydisDecodedInstruction insn;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(), &insn, operands)))
    return fail(ENOTSUP);
  if (refused(insn)) return fail(ENOTSUP);
  if (insn.meta.category == ZYDIS_CATEGORY_NOP || insn.meta.category == ZYDIS_CATEGORY_WIDENOP ||
      insn.mnemonic == ZYDIS_MNEMONIC_ENDBR64)
    return StepPlan{.kind = Kind::kNop, .length = insn.length};
  if (is_relative(insn)) return plan_relative(insn);
  if (insn.meta.category == ZYDIS_CATEGORY_CALL) return plan_indirect_call(insn, operands[0]);

  StepPlan plan{.kind = Kind::kOutOfLine, .length = insn.length};
  const bool rip_relative = std::any_of(operands, operands + insn.operand_count, [](const ZydisDecodedOperand& o) {
    return o.type == ZYDIS_OPERAND_TYPE_MEMORY && o.mem.base == ZYDIS_REGISTER_RIP;
  });
  if (rip_relative) plan.disp_offset = insn.raw.disp.offset;
  return plan;
}

Result<std::array<u8, 24>> build_slot(const StepPlan& plan, std::span<const u8> bytes, u64 address, u64 slot) {
  std::array<u8, 24> code;
  code.fill(kInt3);
  std::memcpy(code.data(), bytes.data(), plan.length);
  const s64 moved = static_cast<s64>(address - slot);
  if (plan.disp_offset) {
    const s64 disp = load<s32>(&code[plan.disp_offset]) + moved;
    if (!fits_32(disp)) return fail(ERANGE);
    store(&code[plan.disp_offset], static_cast<s32>(disp));
  }
  // From the end of the jump in the slot to the end of the instruction at its own place.
  const s64 back = moved - 5;
  if (!fits_32(back)) return fail(ERANGE);
  code[plan.length] = 0xe9;
  store(&code[plan.length + 1], static_cast<s32>(back));
  return code;
}

Result<void> emulate(const StepPlan& plan, Task& task, PtRegs& regs) {
  const u64 next = regs.rip + plan.length;
  u64 target = next + static_cast<u64>(plan.displacement);
  switch (plan.kind) {
    case Kind::kNop: regs.rip = next; return {};
    case Kind::kOutOfLine: return fail(EINVAL);
    case Kind::kCall: TRY(push(task, regs, next)); break;
    case Kind::kCallIndirect:
      target = TRY(call_target(plan, task, regs, next));
      TRY(push(task, regs, next));
      break;
    case Kind::kJump: break;
    case Kind::kBranch:
      if (!condition_holds(plan.condition, regs.eflags)) target = next;
      break;
    case Kind::kCountedJump:
      if (!counted_jump_taken(plan.condition, regs)) target = next;
      break;
  }
  regs.rip = target;
  return {};
}

}  // namespace bpfemu

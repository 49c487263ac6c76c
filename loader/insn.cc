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

constexpr size_t kJumpSize = 5;

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

// Opcodes of one byte that the kernel does not probe in 64-bit code; of VEX and EVEX instructions it looks at the same
// byte (kernel: good_insns_64). All of 0f are probed.
constexpr u8 kRefused[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x62,
                           0x6c, 0x6d, 0x6e, 0x6f, 0x82, 0x9a, 0xcc, 0xcd, 0xce, 0xcf, 0xd4, 0xd5, 0xd6, 0xe4,
                           0xe5, 0xe6, 0xe7, 0xea, 0xec, 0xed, 0xee, 0xef, 0xf1, 0xf4, 0xfa, 0xfb};
// Segment overrides that mean nothing in 64-bit code, and lock (kernel: is_prefix_bad).
constexpr u8 kRefusedPrefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0xf0};
constexpr u8 kOtherPrefixes[] = {0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3};
constexpr u8 kOperandSize = 0x66;

template <size_t N>
bool is_one_of(const u8 (&bytes)[N], u8 byte) {
  return std::find(bytes, bytes + N, byte) != bytes + N;
}

// A jump or call whose displacement an operand size prefix would cut short (kernel: branch_setup_xol_ops).
bool is_relative_branch(u8 opcode, u8 second) {
  if (opcode == 0x0f) return (second & 0xf0) == 0x80;
  return opcode == 0xe8 || opcode == 0xe9 || opcode == 0xeb || (opcode & 0xf0) == 0x70;
}

// mov to %ss holds off the trap of the next instruction (kernel: insn_masking_exception).
bool masks_traps(u8 opcode, u8 modrm) {
  return opcode == 0x8e && (modrm >> 3 & 7) == 2;
}

// How far behind the first byte of a VEX or EVEX prefix the opcode is, 0: it is none.
size_t vex_length(u8 byte) {
  switch (byte) {
    case 0xc5: return 2;
    case 0xc4: return 3;
    case 0x62: return 4;
    default: return 0;
  }
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

bool is_one_step(const ZydisDecodedInstruction& insn) {
  switch (insn.mnemonic) {
    case ZYDIS_MNEMONIC_PUSHFQ:
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_POPF: return false;
    default: break;
  }
  const bool repeats = insn.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
  return !repeats && insn.meta.category != ZYDIS_CATEGORY_SYSCALL && insn.meta.category != ZYDIS_CATEGORY_SYSRET;
}

bool fits_32(s64 value) {
  return value >= std::numeric_limits<s32>::min() && value <= std::numeric_limits<s32>::max();
}

}  // namespace

Result<void> check_probed(std::span<const u8> bytes) {
  size_t at = 0;
  auto byte = [&](size_t i) -> u8 { return i < bytes.size() ? bytes[i] : 0; };
  bool short_operand = false;
  for (; is_one_of(kRefusedPrefixes, byte(at)) || is_one_of(kOtherPrefixes, byte(at)); ++at) {
    if (is_one_of(kRefusedPrefixes, byte(at)) || at >= kMaxInsnLength) return fail(ENOTSUPP);
    short_operand = short_operand || byte(at) == kOperandSize;
  }
  if ((byte(at) & 0xf0) == 0x40) ++at;  // REX
  const size_t vex = vex_length(byte(at));
  const u8 opcode = byte(at + vex), next = byte(at + vex + 1);
  if (is_one_of(kRefused, opcode)) return fail(ENOTSUPP);
  if (vex == 0 && masks_traps(opcode, next)) return fail(ENOTSUPP);
  if (vex == 0 && short_operand && is_relative_branch(opcode, next)) return fail(ENOTSUPP);
  return {};
}

Result<StepPlan> plan_step(std::span<const u8> bytes) {
  ZydisDecoder decoder;
  ZydisDecodedInstruction insn;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(), &insn, operands)))
    return fail(ENOTSUP);
  if (insn.meta.category == ZYDIS_CATEGORY_NOP || insn.meta.category == ZYDIS_CATEGORY_WIDENOP ||
      insn.mnemonic == ZYDIS_MNEMONIC_ENDBR64)
    return StepPlan{.kind = Kind::kNop, .length = insn.length};
  if (is_relative(insn)) return plan_relative(insn);
  StepPlan plan{.kind = Kind::kOutOfLine, .length = insn.length};
  plan.one_step = is_one_step(insn);
  if (insn.meta.category == ZYDIS_CATEGORY_CALL) {
    plan = TRY(plan_indirect_call(insn, operands[0]));
    plan.modrm_offset = insn.raw.modrm.offset;
  }
  const bool rip_relative = std::any_of(operands, operands + insn.operand_count, [](const ZydisDecodedOperand& o) {
    return o.type == ZYDIS_OPERAND_TYPE_MEMORY && o.mem.base == ZYDIS_REGISTER_RIP;
  });
  if (rip_relative) plan.disp_offset = insn.raw.disp.offset;
  return plan;
}

namespace {

// Puts `jmp target` at `at` of the code that will lie at `slot`.
Result<void> put_jump(SlotCode& code, size_t at, u64 slot, u64 target) {
  const s64 distance = static_cast<s64>(target - (slot + at + kJumpSize));
  if (!fits_32(distance)) return fail(ERANGE);
  code[at] = 0xe9;
  store(&code[at + 1], static_cast<s32>(distance));
  return {};
}

// The instruction itself, as it works from `slot`.
Result<SlotCode> moved_instruction(const StepPlan& plan, std::span<const u8> bytes, u64 address, u64 slot) {
  SlotCode code;
  code.fill(kInt3);
  std::memcpy(code.data(), bytes.data(), plan.length);
  if (plan.disp_offset == 0) return code;
  const s64 disp = load<s32>(&code[plan.disp_offset]) + static_cast<s64>(address - slot);
  if (!fits_32(disp)) return fail(ERANGE);
  store(&code[plan.disp_offset], static_cast<s32>(disp));
  return code;
}

}  // namespace

Result<SlotCode> build_slot(const StepPlan& plan, std::span<const u8> bytes, u64 address, u64 slot) {
  SlotCode code = TRY(moved_instruction(plan, bytes, address, slot));
  TRY(put_jump(code, plan.length, slot, address + plan.length));
  return code;
}

// `call operand` becomes `push operand`, a relative call `push %rax`: what is pushed is below the stack again.
Result<SlotCode> build_touch(const StepPlan& plan, std::span<const u8> bytes, u64 address, u64 slot) {
  constexpr u8 kPushRax = 0x50;
  constexpr u8 kDropPushed[] = {0x48, 0x8d, 0x64, 0x24, 0x08};  // lea 8(%rsp), %rsp: leaves the flags alone
  SlotCode code;
  if (plan.kind == Kind::kCallIndirect) {
    code = TRY(moved_instruction(plan, bytes, address, slot));
    code[plan.modrm_offset] = (code[plan.modrm_offset] & 0xc7) | 6 << 3;  // of the group's operations, push
  } else {
    code.fill(kInt3);
    code[0] = kPushRax;
  }
  const size_t pushed = touch_pushed(plan);
  std::memcpy(&code[pushed], kDropPushed, sizeof kDropPushed);
  TRY(put_jump(code, pushed + sizeof kDropPushed, slot, address));
  return code;
}

size_t touch_pushed(const StepPlan& plan) {
  return plan.kind == Kind::kCallIndirect ? plan.length : 1;
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

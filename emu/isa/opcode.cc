// SPDX-License-Identifier: Apache-2.0
#include "emu/isa/opcode.h"

#include <array>

namespace bpfemu {
namespace {

// clang-format off
constexpr OpcodeInfo kOpcodes[] = {
#define OPCODE(name, code, selector, selected, operation, form, text) \
  {Opcode::name, code, OpcodeInfo::selector, selected, Operation::operation, #name, text},
#include "emu/abi/opcodes.inc"
#undef OPCODE
};
// clang-format on

// Opcodes that share a code stand side by side in the table: the first one, and how many.
struct Group {
  u8 first, count;
};

constexpr std::array<Group, 256> group_by_code() {
  std::array<Group, 256> groups{};
  for (u8 i = 0; i < std::size(kOpcodes); ++i) {
    Group& group = groups[kOpcodes[i].code];
    if (group.count++ == 0) group.first = i;
  }
  return groups;
}
constexpr auto kGroups = group_by_code();

// The decoder relies on the order of the table: equal codes adjacent and told apart by a selector.
constexpr bool table_is_sound() {
  for (size_t i = 0; i < std::size(kOpcodes); ++i) {
    const Group& group = kGroups[kOpcodes[i].code];
    if (i < group.first || i >= size_t{group.first} + group.count) return false;
    if (group.count > 1 && kOpcodes[i].selector == OpcodeInfo::kAny) return false;
  }
  return true;
}
static_assert(table_is_sound());
static_assert(std::size(kOpcodes) == static_cast<size_t>(Opcode::count));

bool selects(const OpcodeInfo& info, const Insn& insn) {
  switch (info.selector) {
    case OpcodeInfo::kAny: return true;
    case OpcodeInfo::kImm: return info.selected == insn.imm;
    case OpcodeInfo::kSource: return info.selected == insn.src_reg;
  }
  return false;
}

bool is_internal(u8 code) {
  return (BPF_CLASS(code) == BPF_LDX && BPF_MODE(code) == kProbeMem) || code == (BPF_JMP | kTailCall) ||
         code == (BPF_ST | kNoSpec);
}

}  // namespace

std::span<const OpcodeInfo> opcodes() {
  return kOpcodes;
}

const OpcodeInfo* decode(const Insn& insn) {
  const Group& group = kGroups[insn.code];
  for (const OpcodeInfo* info = kOpcodes + group.first; info < kOpcodes + group.first + group.count; ++info)
    if (selects(*info, insn)) return info;
  return nullptr;
}

bool is_known_code(u8 code) {
  return kGroups[code].count != 0 && !is_internal(code);
}

}  // namespace bpfemu

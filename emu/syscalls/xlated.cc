// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/xlated.h"

#include "emu/bpf/isa/insn.h"

namespace bpfemu {

namespace {

constexpr u8 kCall = BPF_JMP | BPF_CALL;
constexpr u8 kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;

// The map that an address in a load belongs to, by its head or its value area.
const MapObject* map_at(const Program& program, u64 address, u32& offset) {
  offset = 0;
  for (auto& map : program.verified.used_maps) {
    if (map->runtime_address() == address) return map.get();
  }
  for (auto& map : program.verified.used_maps) {
    Extent extent = map->extent();
    u64 values;
    if (address < extent.address || address >= extent.address + extent.size) continue;
    if (!map->ops().direct_value || map->ops().direct_value(map->map(), 0, &values)) continue;
    offset = static_cast<u32>(address - values);
    return map.get();
  }
  return nullptr;
}

// Loads of maps show ids again instead of addresses.
void show_map(const Program& program, Insn* load) {
  u64 address = u64{static_cast<u32>(load[1].imm)} << 32 | static_cast<u32>(load[0].imm);
  u32 offset;
  const MapObject* map = map_at(program, address, offset);
  if (!map) return;
  bool value = map->runtime_address() != address;
  load[0].src_reg = value ? BPF_PSEUDO_MAP_VALUE : BPF_PSEUDO_MAP_FD;
  load[0].imm = static_cast<s32>(map->id());
  load[1].imm = static_cast<s32>(offset);
}

}  // namespace

Insns xlated(const Program& program, const std::function<u64(std::string_view)>&) {
  Insns insns = program.verified.insns;
  for (size_t i = 0; i < insns.size(); ++i) {
    Insn& insn = insns[i];
    if (insn.code == kTailCall) {
      insn.code = kCall;
      insn.imm = BPF_FUNC_tail_call;
    } else if ((insn.code & 7) == BPF_LDX && (insn.code & 0xe0) == kProbeMem) {
      insn.code = static_cast<u8>(BPF_LDX | BPF_MEM | (insn.code & 0x18));
    } else if (insn.code == kLoadImm64 && i + 1 < insns.size()) {
      show_map(program, &insn);
      ++i;
    }
  }
  return insns;
}

}  // namespace bpfemu

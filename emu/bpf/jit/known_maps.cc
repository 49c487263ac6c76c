// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/jit/known_maps.h"

#include <array>

#include "emu/bpf/isa/opcode.h"

namespace bpfemu {
namespace {

using Constants = std::array<u64, 11>;  // 0: unknown

// Where control can come from elsewhere.
std::vector<bool> entries(const JitInput& input) {
  const size_t count = input.insns.size();
  std::vector<bool> entries(count, false);
  for (u32 start : input.subprogram_starts)
    if (start < count) entries[start] = true;
  for (size_t at = 0; at < count; ++at) {
    const Insn& insn = input.insns[at];
    const u8 kind = BPF_CLASS(insn.code), operation = BPF_OP(insn.code);
    const bool jumps = (kind == BPF_JMP || kind == BPF_JMP32) && operation != BPF_CALL && operation != BPF_EXIT;
    const s64 target = static_cast<s64>(at) + 1 + jump_distance(insn);
    if (jumps && target >= 0 && target < static_cast<s64>(count)) entries[static_cast<size_t>(target)] = true;
    if (is_load_imm64(insn)) ++at;
  }
  return entries;
}

// What `insn` leaves of what is known.
void step(Constants& known, const Insn* insn) {
  switch (BPF_CLASS(insn->code)) {
    case BPF_ALU64:
      known[insn->dst_reg] = insn->code == (BPF_ALU64 | BPF_MOV | BPF_X) ? known[insn->src_reg] : 0;
      break;
    case BPF_LD:
      if (is_load_imm64(*insn) && insn->src_reg != BPF_PSEUDO_FUNC)
        known[insn->dst_reg] = constant_of(insn);
      else
        known = {};
      break;
    case BPF_ALU:
    case BPF_LDX: known[insn->dst_reg] = 0; break;
    case BPF_STX:
      if (BPF_MODE(insn->code) == BPF_ATOMIC) known[0] = known[insn->src_reg] = 0;
      break;
    case BPF_JMP:
      if (BPF_OP(insn->code) == BPF_CALL || BPF_OP(insn->code) == kTailCall)
        for (u32 r = 0; r <= 5; ++r) known[r] = 0;
      break;
    default: break;
  }
}

}  // namespace

std::vector<const Map*> known_maps(const JitInput& input) {
  std::vector<const Map*> maps(input.insns.size());
  if (!input.map) return maps;
  const std::vector<bool> entered = entries(input);
  Constants known{};
  for (size_t at = 0; at < input.insns.size(); ++at) {
    const Insn& insn = input.insns[at];
    if (entered[at]) known = {};
    if (insn.dst_reg > 10 || insn.src_reg > 10) return maps;  // the emitter refuses it
    const bool wide = is_load_imm64(insn);
    if (wide && at + 1 == input.insns.size()) return maps;
    if (insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0 && known[1]) maps[at] = input.map(known[1]);
    step(known, &insn);
    if (wide) ++at;
  }
  return maps;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "emu/verifier/fixup_phases.h"
#include "emu/verifier/fixup_rewrite.h"

namespace bpfemu {
namespace {

constexpr Insn jump(s16 off) {
  return {.code = BPF_JMP | BPF_JA, .dst_reg = 0, .src_reg = 0, .off = off, .imm = 0};
}

bool is_conditional(u8 code) {
  u8 op = BPF_OP(code);
  if (BPF_CLASS(code) == BPF_JMP32) return op != BPF_JA;
  return BPF_CLASS(code) == BPF_JMP && op != BPF_JA && op != BPF_EXIT && op != BPF_CALL;
}

// Branches that only ever go one way become unconditional.
void decide_branches(FixupProgram& program) {
  for (size_t i = 0; i < program.insns.size(); ++i) {
    Insn& insn = program.insns[i];
    if (!is_conditional(insn.code)) continue;
    auto target = static_cast<size_t>(static_cast<s64>(i) + 1 + insn.off);
    if (!program.aux[i + 1].seen) {
      insn = jump(insn.off);
    } else if (!program.aux[target].seen) {
      insn = jump(0);
    }
  }
}

Result<void> remove_unseen(FixupProgram& program) {
  Rewrite rewrite(program);
  for (u32 i = 0; i < program.insns.size(); ++i) {
    if (!program.aux[i].seen) rewrite.remove(i);
  }
  return rewrite.apply();
}

Result<void> remove_empty_jumps(FixupProgram& program) {
  constexpr Insn kEmpty = jump(0);
  Rewrite rewrite(program);
  for (u32 i = 0; i < program.insns.size(); ++i) {
    if (std::memcmp(&program.insns[i], &kEmpty, sizeof kEmpty) == 0) rewrite.remove(i);
  }
  return rewrite.apply();
}

}  // namespace

Result<void> drop_dead_code(FixupProgram& program) {
  if (!program.privileged) {
    for (size_t i = 0; i < program.insns.size(); ++i) {
      if (!program.aux[i].seen) program.insns[i] = jump(-1);
    }
    return {};
  }
  decide_branches(program);
  TRY(remove_unseen(program));
  return remove_empty_jumps(program);
}

}  // namespace bpfemu

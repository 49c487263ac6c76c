// SPDX-License-Identifier: Apache-2.0
// What the rewriting of calls for execution and the one for show have in common.
#pragma once

#include <array>

#include "emu/verifier/fixup_rewrite.h"

namespace bpfemu {

constexpr Insn make_insn(u8 code, u8 dst, u8 src, s16 off, s32 imm) {
  return {.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
}
constexpr bool is_helper_call(const Insn& insn) {
  return insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0;
}

// False: no division by a register. Division by zero gives 0, the remainder the dividend.
bool guard_division(Rewrite& rewrite, u32 index, const Insn& insn);
// EINVAL: without privilege, and more than one map.
Result<void> prepare_tail_call(FixupProgram& program, Rewrite& rewrite, u32 index);
// The storage helpers take how they may allocate as a fifth argument that no program passes.
bool is_storage_get(s32 helper);
std::array<Insn, 2> storage_patch(const ProgInfo& program, const Insn& call);
// The kernel reads its counter in place: the address, and a load. The load is the call itself here, which dump_insns
// shows as the load that it stands for.
std::array<Insn, 3> jiffies_patch(const VerifierWorld& world, const Insn& call);

}  // namespace bpfemu

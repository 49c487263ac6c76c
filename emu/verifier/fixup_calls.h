// SPDX-License-Identifier: Apache-2.0
// What the rewriting of calls for execution and the one for show have in common.
#pragma once

#include <array>

#include "emu/verifier/fixup_rewrite.h"

namespace bpfemu {

constexpr Insn make_insn(u8 code, u8 dst, u8 src, s16 off, s32 imm) {
  return {.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
}

// In its place there are always instructions, so nothing ever calls it (kernel: do_misc_fixups).
bool is_inlined(const ProgInfo& program, s32 helper);
// False: no division by a register. Division by zero gives 0, the remainder the dividend.
bool guard_division(Rewrite& rewrite, u32 index, const Insn& insn);
// One that always goes to the same index of the same map has its number in imm, counted from 1. EINVAL: without
// privilege, and more than one map. ENOSPC: too many direct ones.
Result<void> prepare_tail_call(FixupProgram& program, Rewrite& rewrite, u32 index);
// The storage helpers take how they may allocate as a fifth argument that no program passes.
bool is_storage_get(s32 helper);
std::array<Insn, 2> storage_patch(const ProgInfo& program, const Insn& call);
// The kernel reads its counter in place: the address, and a load. The load is the call itself here, which dump_insns
// shows as the load that it stands for.
std::array<Insn, 3> jiffies_patch(const VerifierWorld& world, const Insn& call);

}  // namespace bpfemu

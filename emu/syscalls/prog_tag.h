// SPDX-License-Identifier: Apache-2.0
// The tag of a program: the first bytes of the SHA-1 of its instructions as loaded, with map descriptors left out, so
// that the same program has the same tag in every process (kernel: bpf_prog_calc_tag).
#pragma once

#include <span>
#include <vector>

#include "emu/bpf/program.h"
#include "emu/verifier/verifier.h"

namespace bpfemu {

ProgTag program_tag(std::span<const Insn> insns);
// Those of its functions, the main one first, are of the instructions that the JIT gets, addresses and all; none where
// there is but one (kernel: jit_subprogs).
std::vector<ProgTag> function_tags(const Program& program, const VerifierWorld& world);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// eBPF instructions: struct bpf_insn of the uapi under the project's name, and the pseudo source registers.
#pragma once

#include <linux/bpf.h>

#include <span>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu {

using Insn = ::bpf_insn;
using Insns = std::vector<Insn>;

// Modes that only the kernel's own rewriting makes (include/linux/filter.h): loads that yield 0 instead of faulting,
// and tail calls. They never come from a tool: the verifier refuses them there.
inline constexpr u8 kProbeMem = 0x20;  // BPF_LDX | BPF_PROBE_MEM | size
inline constexpr u8 kTailCall = 0xf0;  // BPF_JMP | BPF_TAIL_CALL
inline constexpr u8 kNoSpec = 0xc0;    // BPF_ST | BPF_NOSPEC

constexpr bool is_helper_call(const Insn& insn) { return insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0; }

}  // namespace bpfemu

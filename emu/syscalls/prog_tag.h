// SPDX-License-Identifier: Apache-2.0
// The tag of a program: the first bytes of the SHA-1 of its instructions as loaded, with map descriptors left out, so
// that the same program has the same tag in every process (kernel: bpf_prog_calc_tag).
#pragma once

#include <array>
#include <span>

#include "emu/isa/insn.h"

namespace bpfemu {

std::array<u8, BPF_TAG_SIZE> program_tag(std::span<const Insn> insns);

}  // namespace bpfemu

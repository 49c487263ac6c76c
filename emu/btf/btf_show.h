// SPDX-License-Identifier: Apache-2.0
// Values as text through their BTF.
#pragma once

#include <span>
#include <string>

#include "emu/btf/btf.h"

namespace bpfemu {

// As files of maps in bpffs show them: "{1,['a','b',],{2,},}" (kernel: btf_type_seq_show, so without names, on one line,
// zeros too). Pointers are hashed. What of the type lies beyond `data` reads as zero.
std::string btf_show(const Btf& btf, u32 type_id, std::span<const u8> data);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Values as text through their BTF.
#pragma once

#include <linux/bpf.h>

#include <span>
#include <string>

#include "emu/btf/btf.h"

namespace bpfemu {

// How files of maps in bpffs show values: "{1,['a','b',],{2,},}" (kernel: btf_type_seq_show).
inline constexpr u64 kShowPlainly = BTF_F_COMPACT | BTF_F_NONAME | BTF_F_ZERO;

// `flags`: BTF_F_* (kernel: btf_type_show). Pointers are hashed without BTF_F_PTR_RAW. What of the type lies beyond `data`
// reads as zero.
std::string btf_show(const Btf& btf, u32 type_id, std::span<const u8> data, u64 flags = kShowPlainly);

}  // namespace bpfemu

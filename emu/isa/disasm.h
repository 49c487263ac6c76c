// SPDX-License-Identifier: Apache-2.0
// Instructions as text, in the exact words of the kernel's print_bpf_insn: verifier log and dumps show them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "emu/isa/insn.h"

namespace bpfemu {

// Names for what numbers stand for. A function that is not set, or returns "" or nothing, leaves the kernel's default text.
struct DisasmNames {
  std::function<std::string_view(u32 id)> helper;     // "bpf_map_lookup_elem"; default "unknown"
  // Kernel functions and subprograms (kernel: cb_call); a name may be empty. Default "unknown", "kernel-function", "+5".
  std::function<std::optional<std::string>(const Insn& insn)> call;
  std::function<std::string(const Insn& insn, u64 imm)> constant;  // 64-bit constants (kernel: cb_imm); default "0x2a"
};

// The text of insns[index] without a newline: "(b7) r0 = 0". Without `allow_ptr_leaks` the addresses that map and BTF
// loads hold show as 0. A load of a 64-bit constant must have its second slot.
std::string disassemble(std::span<const Insn> insns, size_t index, const DisasmNames& names, bool allow_ptr_leaks);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/isa/disasm.h"

#include <fmt/format.h>

#include <iterator>

#include "emu/isa/opcode.h"

namespace bpfemu {
namespace {

// Kernel: __func_get_name and the two ways in which print_bpf_insn uses it.
std::string called_function(const Insn& insn, const DisasmNames& names) {
  if (insn.src_reg == 0 && names.helper) {
    if (std::string_view name = names.helper(static_cast<u32>(insn.imm)); !name.empty()) return std::string(name);
  }
  if (names.call) {
    if (auto name = names.call(insn)) return *name;
  }
  if (insn.src_reg == BPF_PSEUDO_CALL) return fmt::format("{:+d}", insn.imm);
  if (insn.src_reg == BPF_PSEUDO_KFUNC_CALL) return "kernel-function";
  return "unknown";
}

// Is the constant the address of a kernel object?
bool holds_address(const Insn& insn) {
  const OpcodeInfo* info = decode(insn);
  return info && info->opcode != Opcode::ld_imm64 && info->opcode != Opcode::ld_func;
}

std::string constant(const Insn* insn, const DisasmNames& names, bool allow_ptr_leaks) {
  u64 value = holds_address(*insn) && !allow_ptr_leaks ? 0 : constant_of(insn);
  std::string name = names.constant ? names.constant(*insn, value) : std::string();
  return name.empty() ? fmt::format("{:#x}", value) : name;
}

// An instruction that the table lacks still has a text when only its selector (imm, source register) is odd: the
// verifier prints before it checks.
const OpcodeInfo* resembling(const Insn& insn) {
  if (const OpcodeInfo* info = decode(insn)) return info;
  if (BPF_CLASS(insn.code) == BPF_STX) return nullptr;
  for (const OpcodeInfo& info : opcodes())
    if (info.code == insn.code) return &info;
  return nullptr;
}

}  // namespace

std::string disassemble(std::span<const Insn> insns, size_t index, const DisasmNames& names, bool allow_ptr_leaks) {
  const Insn& insn = insns[index];
  const OpcodeInfo* info = resembling(insn);
  if (!info) return fmt::format("BUG_{:02x}", insn.code);

  std::string text = fmt::format("({:02x}) ", insn.code);
  auto out = std::back_inserter(text);
  for (const char* c = info->text; *c; ++c) {
    if (*c != '%') {
      text += *c;
      continue;
    }
    switch (*++c) {
      case 'D': fmt::format_to(out, "{}", u32{insn.dst_reg}); break;
      case 'S': fmt::format_to(out, "{}", u32{insn.src_reg}); break;
      case 'i': fmt::format_to(out, "{}", insn.imm); break;
      case 'x': fmt::format_to(out, "{:x}", static_cast<u32>(insn.imm)); break;
      case 'o': fmt::format_to(out, "{:+d}", insn.off); break;
      case 'n': text += called_function(insn, names); break;
      case 'c': text += constant(&insn, names, allow_ptr_leaks); break;
      default: text += *c;
    }
  }
  return text;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/explain/source.h"

#include <algorithm>

#include "emu/isa/disasm.h"

namespace bpfemu {

namespace {

std::string disassembled(const Rejection& rejection, u32 insn) {
  DisasmNames names;
  std::string helper;
  names.helper = [&helper](u32 id) { return std::string_view(helper = std::string("bpf_") + helper_name(id)); };
  return disassemble(rejection.insns, insn, names, true);
}

}  // namespace

SourceLine source_line(const Rejection& rejection, u32 insn) {
  const auto& lines = rejection.line_info;
  auto after = std::upper_bound(lines.begin(), lines.end(), insn,
                                [](u32 at, const bpf_line_info& line) { return at < line.insn_off; });
  if (after == lines.begin()) return {"", insn, 0, disassembled(rejection, insn)};
  const bpf_line_info& line = *(after - 1);
  const char* name = rejection.btf->string(line.file_name_off);
  const char* text = rejection.btf->string(line.line_off);
  std::string_view file = name && *name ? name : "?";
  if (file.starts_with("./")) file.remove_prefix(2);
  const u32 number = BPF_LINE_INFO_LINE_NUM(line.line_col);
  // A compiler that does not find the source again leaves its text out.
  if (!text || !*text) return {std::string(file), number, 0, disassembled(rejection, insn)};
  return {std::string(file), number, BPF_LINE_INFO_LINE_COL(line.line_col), text};
}

std::string function_name(const Rejection& rejection, u32 insn) {
  const auto& functions = rejection.func_info;
  auto after = std::upper_bound(functions.begin(), functions.end(), insn,
                                [](u32 at, const bpf_func_info& function) { return at < function.insn_off; });
  if (after == functions.begin()) return {};
  return rejection.btf->type_name((after - 1)->type_id);
}

std::string program_name(const Rejection& rejection) {
  std::string name = function_name(rejection, 0);
  if (name.empty()) name = rejection.name;
  return name.empty() ? "(unnamed)" : name;
}

}  // namespace bpfemu

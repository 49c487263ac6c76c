// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/ksyms.h"

#include <fmt/format.h>

#include <algorithm>

#include "emu/syscalls/object_files.h"

namespace bpfemu {

namespace {

constexpr u64 kModuleRegion = 0xffffffffc0000000;
constexpr u64 kModuleRegionMask = 0x3fffffff;

}  // namespace

u32 function_count(const Program& program) {
  return std::max<u32>(1, static_cast<u32>(program.verified.subprogram_starts.size()));
}

FunctionCode function_code(const Program& program, u32 index) {
  auto& starts = program.verified.subprogram_starts;
  auto& offsets = program.insn_offsets();
  auto offset_of = [&](u32 function) -> u32 {
    if (function >= starts.size() || starts[function] >= offsets.size()) return program.code_size();
    return function == 0 ? 0 : offsets[starts[function]];
  };
  u32 start = index == 0 ? 0 : offset_of(index);
  return {program.code().address + start, offset_of(index + 1) - start};
}

u64 kernel_address(u64 arena_address) { return kModuleRegion | (arena_address & kModuleRegionMask); }

std::string function_symbol(const Program& program, u32 index) {
  std::string symbol = "bpf_prog_" + tag_text(index ? program.function_tags[index] : program.tag);
  auto& functions = program.verified.func_info;
  const char* name = index ? "F" : program.name.c_str();
  if (program.btf && index < functions.size()) name = program.btf->type_name(functions[index].type_id);
  if (name && *name) symbol.append("_").append(name);
  return symbol;
}

std::vector<ProgramSymbol> program_symbols(IdSpace<Program>& programs) {
  std::vector<ProgramSymbol> symbols;
  for (auto id = programs.next(0); id; id = programs.next(*id)) {
    const auto program = programs.find(*id);
    if (!program) continue;
    auto add = [&](u32 function) {
      symbols.push_back({kernel_address(function_code(**program, function).address), function_symbol(**program, function)});
    };
    // The program itself is loaded last.
    for (u32 i = 1; i < function_count(**program); ++i) add(i);
    add(0);
  }
  return symbols;
}

std::string program_lines(IdSpace<Program>& programs) {
  std::string lines;
  for (const auto& [address, name] : program_symbols(programs)) lines += fmt::format("{:016x} t {}\t[bpf]\n", address, name);
  return lines;
}

}  // namespace bpfemu

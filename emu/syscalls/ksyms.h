// SPDX-License-Identifier: Apache-2.0
// Loaded programs as kernel symbols: where their code seems to be, and what /proc/kallsyms calls it.
#pragma once

#include <string>
#include <vector>

#include "emu/base/object.h"
#include "emu/bpf/program.h"
#include "emu/iter/world.h"

namespace bpfemu {

// The functions of a program: the main one, then its subprograms.
u32 function_count(const Program& program);
// The code of function `index`, where it is in the arena.
struct FunctionCode {
  u64 address;
  u32 size;
};
FunctionCode function_code(const Program& program, u32 index);
// The address that tools are shown for arena code: in the region where the kernel's modules and programs lie.
u64 kernel_address(u64 arena_address);

// "bpf_prog_6deef7357e7b4530_name"; without BTF the others are all called F (kernel: bpf_get_prog_name).
std::string function_symbol(const Program& program, u32 index);
// The functions of all loaded programs in the order in which the kernel names them, and their lines of /proc/kallsyms.
std::vector<ProgramSymbol> program_symbols(IdSpace<Program>& programs);
std::string program_lines(IdSpace<Program>& programs);

}  // namespace bpfemu

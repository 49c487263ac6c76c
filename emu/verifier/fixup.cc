// SPDX-License-Identifier: Apache-2.0
// From a verified program to one that runs. What the kernel does against speculation (masking of pointer arithmetic,
// barriers after spills) has no counterpart: it does not change results, and programs run with their loader's rights.
#include "emu/verifier/fixup_phases.h"

namespace bpfemu {
namespace {

// Constants that stand for maps hold their addresses already; nothing tells them from others any more
// (kernel: convert_pseudo_ld_imm64).
void forget_pseudo_sources(Insns& insns) {
  for (size_t i = 0; i < insns.size(); ++i) {
    if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW)) continue;
    if (insns[i].src_reg != BPF_PSEUDO_FUNC) insns[i].src_reg = 0;
    ++i;
  }
}

void place_functions(FixupProgram& program) {
  for (size_t i = 0; i < program.func_info.size() && i < program.subprogs.size(); ++i) {
    program.func_info[i].insn_off = program.subprogs[i].start;
  }
}

}  // namespace

Result<FixupProgram> fix_up(FixupProgram& program) {
  for (auto phase : {inline_loops, drop_dead_code}) TRY(phase(program));
  FixupProgram shown = program;
  for (auto phase : {convert_accesses, prepare_calls}) TRY(phase(program));
  for (auto phase : {show_accesses, show_calls}) TRY(phase(shown));
  for (FixupProgram* each : {&program, &shown}) {
    forget_pseudo_sources(each->insns);
    place_functions(*each);
  }
  return shown;
}

}  // namespace bpfemu

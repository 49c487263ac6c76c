// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/program.h"

#include "emu/jit/jit.h"
#include "emu/runtime/helpers/helpers.h"

namespace bpfemu {

namespace {

HelperFn or_stand_in(HelperFn function) {
  return function ? function : unmodelled_function;
}

}  // namespace

Program::~Program() {
  if (code_.size) arena_->release_code(code_);
  if (text_extent_.size) arena_->release(text_extent_);
}

std::set<u32> Program::missing_helpers() const {
  std::set<u32> missing;
  for (const Insn& insn : verified.insns) {
    const bool calls_helper = insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0;
    if (calls_helper && !helper_function(static_cast<u32>(insn.imm))) missing.insert(static_cast<u32>(insn.imm));
  }
  return missing;
}

// Null: not modelled, or a call without a function, which is never reached.
HelperFn Program::kernel_function(u32 btf_id) const {
  auto name = verified.kfuncs.find(btf_id);
  return name == verified.kfuncs.end() ? nullptr : kfunc_function(name->second);
}

std::set<std::string> Program::missing_functions() const {
  std::set<std::string> missing;
  for (const Insn& insn : verified.insns) {
    if (insn.code != (BPF_JMP | BPF_CALL) || insn.src_reg != BPF_PSEUDO_KFUNC_CALL) continue;
    const u32 id = static_cast<u32>(insn.imm);
    if (!kernel_function(id)) missing.insert(verified.kfuncs.at(id));
  }
  return missing;
}

Result<void> Program::install(Arena& arena) {
  const Executable input{.insns = verified.insns,
                       .subprogram_starts = verified.subprogram_starts,
                       .stack_depths = verified.stack_depths,
                       .helper = [](u32 id) { return or_stand_in(helper_function(id)); },
                       .kfunc = [this](u32 id, s16) { return or_stand_in(kernel_function(id)); },
                       .called_maps = verified.called_maps};
  arena_ = &arena;
  text_extent_ = TRY(arena.allocate(sizeof(ProgramText)));
  code_ = TRY(arena.allocate_code(jit_size_bound(input)));
  JitOutput output = TRY(jit_compile(input, code_.address));
  TRY(arena.write_code(code_, output.code));

  text_ = new (reinterpret_cast<void*>(text_extent_.address)) ProgramText{};
  text_->id = id();
  text_->type = type;
  text_->expected_attach_type = expected_attach_type;
  text_->entry = reinterpret_cast<ProgramEntry>(code_.address + output.entry);
  text_->tail_call_entry = code_.address + output.tail_call_entry;
  insn_offsets_ = std::move(output.insn_offsets);
  code_size_ = static_cast<u32>(output.code.size());
  return {};
}

}  // namespace bpfemu

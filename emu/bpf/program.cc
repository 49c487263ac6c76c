// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/program.h"

#include "emu/bpf/helpers/helpers.h"
#include "emu/bpf/jit/jit.h"

namespace bpfemu {

namespace {

HelperFn helper_or_stand_in(u32 id) {
  HelperFn function = helper_function(id);
  return function ? function : unmodelled_function;
}

}  // namespace

Program::~Program() {
  if (code_.size) arena_->release_code(code_);
  if (text_extent_.size) arena_->release(text_extent_);
}

// The map whose head is at `address`, of those that the program was verified with.
const Map* Program::used_map(u64 address) const {
  for (const auto& map : verified.used_maps)
    if (map->runtime_address() == address) return &map->map();
  return nullptr;
}

std::set<u32> Program::missing_helpers() const {
  std::set<u32> missing;
  for (const Insn& insn : verified.insns) {
    const bool calls_helper = insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0;
    if (calls_helper && !helper_function(static_cast<u32>(insn.imm))) missing.insert(static_cast<u32>(insn.imm));
  }
  return missing;
}

std::set<u32> Program::missing_functions() const {
  std::set<u32> missing;
  for (const Insn& insn : verified.insns) {
    if (insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == BPF_PSEUDO_KFUNC_CALL) {
      missing.insert(static_cast<u32>(insn.imm));
    }
  }
  return missing;
}

Result<void> Program::install(Arena& arena) {
  const JitInput input{.insns = verified.insns,
                       .subprogram_starts = verified.subprogram_starts,
                       .stack_depths = verified.stack_depths,
                       .helper = helper_or_stand_in,
                       .kfunc = [](u32, s16) { return unmodelled_function; },
                       .map = [this](u64 address) { return used_map(address); }};
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

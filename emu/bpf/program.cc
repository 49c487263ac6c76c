// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/program.h"

#include <algorithm>
#include <utility>

#include "emu/jit/jit.h"
#include "emu/runtime/helpers/helpers.h"
#include "emu/runtime/inside/image.h"

namespace bpfemu {

namespace {

HelperFn or_stand_in(HelperFn function) {
  return function ? function : unmodelled_function;
}

}  // namespace

Program::~Program() {
  if (code_.size) arena_->release_code(code_);
  for (const Extent& code : old_code_) arena_->release_code(code);
  if (hooks_extent_.size) arena_->release(hooks_extent_);
  if (text_extent_.size) arena_->release(text_extent_);
}

std::set<u32> Program::missing_helpers() const {
  std::set<u32> missing;
  for (const Insn& insn : verified.insns) {
    const bool calls_helper = is_helper_call(insn);
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
  arena_ = &arena;
  text_extent_ = TRY(arena.allocate(sizeof(ProgramText)));
  text_ = new (reinterpret_cast<void*>(text_extent_.address)) ProgramText{};
  text_->id = id();
  text_->type = type;
  text_->expected_attach_type = expected_attach_type;
  return assemble();
}

Result<FunctionHooks*> Program::hooks_of(size_t function) {
  if (!is_hooked()) {
    const size_t count = verified.subprogram_starts.size();
    hooks_extent_ = TRY(arena_->allocate(count * sizeof(FunctionHooks)));
    if (auto done = assemble_anew(); !done) {
      arena_->release(std::exchange(hooks_extent_, {}));
      return fail(done.error().value);
    }
  }
  return reinterpret_cast<FunctionHooks*>(hooks_extent_.address) + function;
}

Result<void> Program::assemble_anew() {
  const Extent before = code_;
  TRY(assemble());
  old_code_.push_back(before);
  return {};
}

Result<void> Program::tell_of_helpers(const u8* listened) {
  const auto awaited = [=](const auto& called) {
    const s32 function = runtime_function(called.second);
    return function >= 0 && listened[function];
  };
  if (tells_ || std::ranges::none_of(verified.helper_symbols, awaited)) return {};
  tells_ = true;
  auto done = assemble_anew();
  if (!done) tells_ = false;
  return done;
}

bool Program::is_extended() const {
  const auto* const hooks = reinterpret_cast<const FunctionHooks*>(hooks_extent_.address);
  return hooks && std::any_of(hooks, hooks + verified.subprogram_starts.size(),
                              [](const FunctionHooks& function) { return function.replacement != nullptr; });
}

s32 Program::told_helper(u32 id) const {
  const auto symbol = verified.helper_symbols.find(id);
  return symbol == verified.helper_symbols.end() ? -1 : runtime_function(symbol->second);
}

Result<void> Program::assemble() {
  const auto* const hooks = reinterpret_cast<const FunctionHooks*>(hooks_extent_.address);
  const Executable input{.insns = verified.insns,
                         .subprogram_starts = verified.subprogram_starts,
                         .stack_depths = verified.stack_depths,
                         .helper = [](u32 id) { return or_stand_in(helper_function(id)); },
                         .kfunc = [this](u32 id, s16) { return or_stand_in(kernel_function(id)); },
                         .told_helper = tells_ ? [this](u32 id) { return told_helper(id); } : std::function<s32(u32)>(),
                         .called_maps = verified.called_maps,
                         .hooks = {hooks, hooks ? verified.subprogram_starts.size() : 0}};
  const Extent code = TRY(arena_->allocate_code(jit_size_bound(input)));
  auto assembled = jit_compile(input, code.address);
  if (assembled && !arena_->write_code(code, assembled->code)) assembled = fail(ENOMEM);
  if (!assembled) {
    arena_->release_code(code);
    return fail(assembled.error().value);
  }
  JitOutput& output = *assembled;
  code_ = code;
  text_->entry = reinterpret_cast<ProgramEntry>(code_.address + output.entry);
  text_->tail_call_entry = code_.address + output.tail_call_entry;
  text_->function_entry = code_.address + output.function_entry;
  insn_offsets_ = std::move(output.insn_offsets);
  code_size_ = static_cast<u32>(output.code.size());
  return {};
}

std::shared_ptr<const ApartCode> Program::code_apart() const {
  const Executable input{.insns = verified.insns,
                         .subprogram_starts = verified.subprogram_starts,
                         .stack_depths = verified.stack_depths,
                         .helper = image_helper,
                         .kfunc = {},
                         .told_helper = {},
                         .called_maps = verified.called_maps,
                         .hooks = {},
                         .apart = true};
  const auto code = arena_->allocate_code(jit_size_bound(input));
  if (!code) return nullptr;
  const auto assembled = jit_compile(input, code->address);
  auto apart = std::make_shared<const ApartCode>(*arena_, *code, code->address + (assembled ? assembled->entry : 0));
  return assembled && arena_->write_code(*code, assembled->code) ? apart : nullptr;
}

}  // namespace bpfemu

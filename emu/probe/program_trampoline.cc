// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/program_trampoline.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "emu/btf/btf.h"

namespace bpfemu {

namespace {

struct Around {
  FunctionHooks::Called* list;
  u32& count;
  std::span<FunctionHooks::Called> all() const { return {list, count}; }
};

// Where fentry, or fexit, programs are.
Around place_of(const Program& program, FunctionHooks& hooks) {
  if (program.expected_attach_type == BPF_TRACE_FEXIT) return {hooks.after, hooks.after_count};
  return {hooks.before, hooks.before_count};
}

// A function whose BTF is not to be trusted has five of anything (kernel: btf_distill_func_proto).
u32 arguments_of(const ProgramFunction& target) {
  const Program& program = *target.program;
  const auto& unreliable = program.verified.unreliable_funcs;
  const btf_type* function = program.btf->type(target.btf_id);
  const btf_type* prototype = function ? program.btf->type(function->type) : nullptr;
  if (!prototype || (target.index < unreliable.size() && unreliable[target.index])) return FunctionHooks::kArguments;
  return std::min(static_cast<u32>(program.btf->params(*prototype).size()), FunctionHooks::kArguments);
}

}  // namespace

ProgramTracingLink::~ProgramTracingLink() {
  if (program_->type == BPF_PROG_TYPE_EXT) {
    hooks_.replacement = nullptr;
    return;
  }
  const Around place = place_of(*program_, hooks_);
  const auto all = place.all();
  const auto gone = std::ranges::find(all, &program_->text(), &FunctionHooks::Called::text);
  std::move(gone + 1, all.end(), gone);
  --place.count;
  --hooks_.count;
}

void ProgramTracingLink::fill_info(bpf_link_info& info, std::string&) const {
  info.tracing.attach_type = program_->expected_attach_type;
  info.tracing.target_obj_id = target_.program->id();
  info.tracing.target_btf_id = target_.btf_id;
}

std::string ProgramTracingLink::fdinfo() const {
  return fmt::format("attach_type:\t{}\n", program_->expected_attach_type);
}

Result<std::shared_ptr<Link>> attach_to_program(std::shared_ptr<Program> program, ProgramFunction target, u64 cookie) {
  FunctionHooks& hooks = *TRY(target.program->hooks_of(target.index));
  if (hooks.replacement) return fail(EBUSY);
  if (program->type == BPF_PROG_TYPE_EXT) {
    if (hooks.count) return fail(EBUSY);
    hooks.replacement = &program->text();
    return std::make_shared<ProgramTracingLink>(std::move(program), std::move(target), hooks);
  }
  if (hooks.count >= FunctionHooks::kMost) return fail(E2BIG);
  const Around place = place_of(*program, hooks);
  const auto all = place.all();
  if (std::ranges::find(all, &program->text(), &FunctionHooks::Called::text) != all.end()) return fail(EBUSY);
  hooks.arguments = arguments_of(target);
  hooks.address = target.address;
  std::move_backward(all.begin(), all.end(), all.end() + 1);
  place.list[0] = {&program->text(), cookie};
  ++place.count;
  ++hooks.count;
  return std::make_shared<ProgramTracingLink>(std::move(program), std::move(target), hooks);
}

}  // namespace bpfemu

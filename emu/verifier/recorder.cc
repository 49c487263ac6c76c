// SPDX-License-Identifier: Apache-2.0
// A second look at a refused program, with notes.
#include "emu/verifier/recorder.h"

#include "emu/verifier/checker.h"

namespace bpfemu {

namespace {

// The register of which an instruction tells something: written, or compared.
u32 told_register(const Insn& insn) {
  u8 cls = BPF_CLASS(insn.code);
  bool jump = cls == BPF_JMP || cls == BPF_JMP32;
  return jump && (BPF_OP(insn.code) == BPF_CALL || BPF_OP(insn.code) == BPF_EXIT) ? u32{BPF_REG_0} : u32{insn.dst_reg};
}

Known known_of(const Reg& reg) {
  return {reg.type, reg.off, reg.id, reg.r64};
}

}  // namespace

// The instruction at insn_ begins: the one before has had its effect.
void Checker::record_step() {
  recorder_->messages.clear();
  if (prev_insn_ < 0) recorder_->rewind(0);  // of a function that is verified on its own
  Step* before = recorder_->last();
  if (before && before->depth <= cur_.depth) {
    u32 told = told_register(insns_[before->insn]);  // any number where the instruction does not use it
    if (told < kRegs) before->after = known_of(cur_.frames[before->depth]->regs[told]);
  }
  Step step{.insn = insn_, .depth = cur_.depth};
  if (is_call(insns_[insn_]) && insns_[insn_].src_reg == 0) record_stack_writes(insns_[insn_], step);
  recorder_->add(step);
}

// What a helper is about to write to the stack.
void Checker::record_stack_writes(const Insn& insn, Step& step) const {
  const HelperProto* proto = ops_->helper(static_cast<u32>(insn.imm), info_);
  if (!proto) return;
  for (u32 i = 0; i < 5; ++i) {
    const Reg& to = reg(i + 1);
    if (!(proto->args[i] & (kUninit | kMemWrite)) || to.type != kPtrToStack || !to.var_off.is_const()) continue;
    if (to.frame != cur_.depth) continue;
    s32 size = kSlotSize;
    if (proto->arg_size[i]) {
      size = static_cast<s32>(proto->arg_size[i]);
    } else if (i + 1 < 5 && proto->args[i + 1] && reg(i + 2).is_const()) {
      size = static_cast<s32>(reg(i + 2).var_off.value);
    }
    step.filled_from = to.off + static_cast<s32>(to.var_off.value);
    step.filled_to = step.filled_from + size;
  }
}

void Checker::name_place(Rejection& rejection) const {
  rejection.exploring = cur_.frames[0] != nullptr && !insns_.empty();
  if (!rejection.exploring) return;
  rejection.insn = std::min(insn_, insn_count() - 1);
  rejection.depth = cur_.depth;
  rejection.regs = cur_.frame().regs;
  rejection.references = cur_.frame().refs;
}

Rejection Checker::diagnose() {
  recorder_ = std::make_unique<Recorder>();
  log_.listen(&recorder_->messages);
  Rejection rejection;
  if (Check checked = check_all(); !checked) rejection.error = checked.error().value;
  log_.listen(nullptr);
  name_place(rejection);
  rejection.messages = std::move(recorder_->messages);
  rejection.path_cut = recorder_->cut();
  rejection.path = recorder_->take_steps();
  rejection.processed = insns_processed_;
  for (const InsnAux& aux : aux_) rejection.base_types.push_back(aux.ptr_type);
  rejection.info = std::move(info_);
  rejection.ops = ops_;
  rejection.name = request_.name;
  rejection.insns = std::move(insns_);
  rejection.subprogs = std::move(subprogs_);
  rejection.func_info = std::move(func_info_);
  rejection.line_info = std::move(line_info_);
  rejection.btf = request_.btf;
  rejection.maps = std::move(used_maps_);
  return rejection;
}

Rejection diagnose(const VerifierWorld& world, const LoadRequest& request) {
  if (!prog_type_ops(request.type) || request.insns.empty()) return {.error = EINVAL};
  VerifierLog silent(0, 0);
  return Checker(world, request, silent).diagnose();
}

}  // namespace bpfemu

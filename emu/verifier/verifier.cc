// SPDX-License-Identifier: Apache-2.0
// The phases of verification, in the kernel's order (kernel: bpf_check).
#include "emu/verifier/verifier.h"

#include <chrono>

#include "emu/verifier/btf_access.h"
#include "emu/verifier/checker.h"

namespace bpfemu {

Checker::Checker(const VerifierWorld& world, const LoadRequest& request, VerifierLog& log)
    : world_(world), request_(request), log_(log), ops_(prog_type_ops(request.type)), insns_(request.insns) {
  info_.type = request.type;
  info_.expected_attach_type = request.expected_attach_type;
  info_.gpl_compatible = request.gpl_compatible;
  info_.sleepable = request.flags & BPF_F_SLEEPABLE;
  info_.caps = request.caps;
  info_.world = &world;
  info_.attach_btf = request.attach_btf;
  info_.attach_btf_id = request.attach_btf_id;
  info_.dst_prog = request.attach_program;

  const Capabilities& caps = request.caps;
  bool perfmon = caps.perfmon || caps.sys_admin;
  capable_ = caps.bpf || caps.sys_admin;
  allow_ptr_leaks_ = allow_uninit_stack_ = allow_ptr_to_map_access_ = bypass_spec_v1_ = bypass_spec_v4_ = perfmon;
  strict_alignment_ = request.flags & BPF_F_STRICT_ALIGNMENT && !(request.flags & BPF_F_ANY_ALIGNMENT);
  test_state_freq_ = capable_ && request.flags & BPF_F_TEST_STATE_FREQ;

  aux_.resize(insns_.size());
  for (u32 i = 0; i < aux_.size(); ++i) aux_[i].orig_idx = i;
  explored_.resize(insns_.size());
  subprogs_.push_back({.start = insn_count()});
}

Check Checker::set_attachment() {
  OwnFunction main;
  if (!func_info_.empty()) main = {request_.btf.get(), func_info_[0].type_id};
  TRY(set_attach_target(info_, main, log_));
  if (info_.type == BPF_PROG_TYPE_EXT && info_.dst_prog) ops_ = prog_type_ops(info_.dst_prog->type);
  return {};
}

Check Checker::check_all() {
  TRY(find_subprogs());
  TRY(check_jumps());
  TRY(check_btf_info());
  TRY(set_attachment());
  TRY(resolve_wide_loads());
  TRY(check_cfg());
  TRY(check_global_subprogs());
  TRY(check_subprog(0));
  // What follows is about no place on a path.
  pool_.release(cur_);
  cur_ = State{};
  TRY(check_stack_depth());
  return check_kfuncs_resolved();
}

void Checker::print_statistics(u64 nanoseconds, std::span<const Subprog> subprogs) {
  if (log_.level() & VerifierLog::kStats) {
    log_.print("verification time {} usec\n", nanoseconds / 1000);
    log_.print("stack depth ");
    for (size_t i = 0; i + 1 < subprogs.size(); ++i) {
      log_.print("{}", subprogs[i].stack_depth);
      if (i + 2 < subprogs.size()) log_.print("+");
    }
    log_.print("\n");
  }
  log_.print("processed {} insns (limit {}) max_states_per_insn {} total_states {} peak_states {} mark_read {}\n",
             insns_processed_, kInsnLimit, max_states_per_insn_, total_states_, peak_states_, longest_read_walk_);
}

ShownProgram Checker::show(FixupProgram& rewritten) {
  ShownProgram shown{std::move(rewritten.insns), {}, std::move(rewritten.func_info), std::move(rewritten.line_info)};
  for (size_t i = 0; i + 1 < rewritten.subprogs.size(); ++i) {
    shown.subprogram_starts.push_back(rewritten.subprogs[i].start);
  }
  return shown;
}

Result<VerifiedProgram> Checker::run() {
  auto started = std::chrono::steady_clock::now();
  FixupProgram program{info_, *ops_, log_, {}, {}, {}, {}, {}, {}, {}};
  ShownProgram shown;
  Check checked = check_all();
  if (checked) {
    program.insns = std::move(insns_);
    program.aux = std::move(aux_);
    program.subprogs = std::move(subprogs_);
    program.used_maps = std::move(used_maps_);
    program.used_btfs = std::move(used_btfs_);
    program.func_info = std::move(func_info_);
    program.line_info = std::move(line_info_);
    program.privileged = capable_;
    program.bypass_spec_v1 = bypass_spec_v1_;
    program.bypass_spec_v4 = bypass_spec_v4_;
    auto rewritten = fix_up(program);
    if (rewritten) {
      shown = show(*rewritten);
    } else {
      checked = std::unexpected(rewritten.error());
    }
  } else {
    program.subprogs = std::move(subprogs_);
  }
  auto elapsed = std::chrono::steady_clock::now() - started;
  print_statistics(static_cast<u64>(std::chrono::nanoseconds(elapsed).count()), program.subprogs);
  if (log_.overflowed()) return fail(ENOSPC);
  if (!checked) return std::unexpected(checked.error());

  VerifiedProgram verified;
  for (size_t i = 0; i + 1 < program.subprogs.size(); ++i) {
    const Subprog& subprog = program.subprogs[i];
    verified.subprogram_starts.push_back(subprog.start);
    verified.stack_depths.push_back(subprog.stack_depth);
    if (i < program.func_info.size()) program.func_info[i].insn_off = subprog.start;
  }
  for (const InsnAux& aux : program.aux) verified.called_maps.push_back(aux.map ? &aux.map->map() : nullptr);
  verified.helper_symbols = helper_symbols(program.insns);
  verified.insns = std::move(program.insns);
  verified.shown = std::move(shown);
  verified.used_maps = std::move(program.used_maps);
  verified.used_btfs = std::move(program.used_btfs);
  verified.kfuncs = kfunc_names();
  verified.func_info = std::move(program.func_info);
  verified.line_info = std::move(program.line_info);
  for (const FuncFacts& facts : func_facts_) verified.unreliable_funcs.push_back(facts.unreliable);
  verified.processed_insns = insns_processed_;
  verified.sleepable = info_.sleepable;
  verified.max_ctx_offset = info_.max_ctx_offset;
  verified.max_tp_access = info_.max_tp_access;
  verified.max_key_access = info_.max_rdonly_access;
  verified.max_value_access = info_.max_rdwr_access;
  verified.ctx_words = info_.ctx_words;
  verified.looks_into_maps = info_.looks_into_maps;
  verified.untold_fields = info_.untold_fields;
  verified.field_reads = info_.field_reads;
  return verified;
}

Result<VerifiedProgram> verify(const VerifierWorld& world, const LoadRequest& request, VerifierLog& log) {
  if (!prog_type_ops(request.type) || request.insns.empty()) return fail(EINVAL);
  Checker checker(world, request, log);
  return checker.run();
}

}  // namespace bpfemu

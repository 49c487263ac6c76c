// SPDX-License-Identifier: Apache-2.0
// The verifier at work on one program: follows every path, instruction by instruction, with what is known of each
// register. The class is spread over one file a concern; this header is internal to the folder.
#pragma once

#include <vector>

#include "emu/base/bytes.h"
#include "emu/isa/opcode.h"
#include "emu/verifier/bounds.h"
#include "emu/verifier/prog_env.h"
#include "emu/verifier/recorder.h"
#include "emu/verifier/state.h"
#include "emu/verifier/verifier.h"

namespace bpfemu {

using Check = Result<void>;

inline constexpr u32 kInsnLimit = 1000000;  // kernel: BPF_COMPLEXITY_LIMIT_INSNS
inline constexpr u32 kPendingLimit = 8192;  // kernel: BPF_COMPLEXITY_LIMIT_JMP_SEQ
inline constexpr u32 kStatesLimit = 64;     // per instruction, unprivileged (BPF_COMPLEXITY_LIMIT_STATES)
inline constexpr u32 kSubprogLimit = 256;
inline constexpr u32 kUsedMapsLimit = 64, kUsedBtfsLimit = 64;

// What the instruction is.
inline bool is_wide_load(const Insn& insn) {
  return insn.code == (BPF_LD | BPF_IMM | BPF_DW);
}
inline bool is_call(const Insn& insn) {
  return insn.code == (BPF_JMP | BPF_CALL);
}
inline bool is_subprog_call(const Insn& insn) {
  return is_call(insn) && insn.src_reg == BPF_PSEUDO_CALL;
}
inline bool is_kfunc_call(const Insn& insn) {
  return is_call(insn) && insn.src_reg == BPF_PSEUDO_KFUNC_CALL;
}
inline bool is_func_address(const Insn& insn) {
  return is_wide_load(insn) && insn.src_reg == BPF_PSEUDO_FUNC;
}
inline bool is_atomic(const Insn& insn) {
  return BPF_CLASS(insn.code) == BPF_STX && BPF_MODE(insn.code) == BPF_ATOMIC;
}
inline bool is_fetch(const Insn& insn) {
  return is_atomic(insn) && (insn.imm & BPF_FETCH);
}

// A helper as the log calls it.
std::string helper_text(u32 id);

// How a register is used by an instruction.
enum class Use { kRead, kWrite, kWriteKeep };  // kWriteKeep: the caller says what becomes of it
// Who touches memory: the program itself or a helper on its behalf.
enum class By { kProgram, kHelper };

// What the arguments of a call told (kernel: struct bpf_call_arg_meta).
struct CallMeta {
  u32 helper = 0;
  MapObject* map = nullptr;
  u32 map_uid = 0;
  bool raw_mode = false;
  bool pkt_access = false;
  u32 release_reg = 0;
  u32 raw_reg = 0;
  s32 raw_size = 0;
  u32 mem_size = 0;
  u64 max_size = 0;
  u32 ref_obj_id = 0;
  const Btf* ret_btf = nullptr;
  u32 ret_btf_id = 0;
  u32 subprog = 0;
  const KptrField* kptr = nullptr;
  u32 uninit_dynptr_reg = 0;
};

// Flags of kernel functions (kernel: KF_*).
inline constexpr u32 kKfuncAcquire = 1, kKfuncRelease = 2, kKfuncRetNull = 4, kKfuncKptrGet = 8, kKfuncTrustedArgs = 16,
                     kKfuncSleepable = 32, kKfuncDestructive = 64;

struct KfuncMeta {
  u32 flags = 0;
  u32 ref_obj_id = 0;
  u64 result_size = 0;
  bool result_rdonly = false;
};

// Why unprivileged pointer arithmetic cannot be made safe against speculation.
enum class Unsafe { kNo, kBounds, kType, kPaths, kLimit, kStack };

class Checker {
 public:
  Checker(const VerifierWorld& world, const LoadRequest& request, VerifierLog& log);
  Result<VerifiedProgram> run();
  // Instead of run(), for a program that was refused: why.
  Rejection diagnose();

 private:
  // A path to be explored later.
  struct Pending {
    State state;
    u32 insn = 0;
    s32 previous = 0;
    size_t log_position = 0, path_position = 0;
  };
  struct FuncFacts {
    u32 linkage = 0;
    bool unreliable = false;
  };
  using CalleeSetup = Check (Checker::*)(const Frame& caller, Frame& callee, u32 insn);

  template <class... Args>
  std::unexpected<Errno> reject(int error, fmt::format_string<Args...> format, Args&&... args) {
    log_.print(format, std::forward<Args>(args)...);
    return fail(error);
  }

  // verifier.cc: the phases.
  Check check_all();
  Check set_attachment();
  static ShownProgram show(FixupProgram& rewritten);
  void print_statistics(u64 nanoseconds, std::span<const Subprog> subprogs);

  // subprogs.cc: where functions start, jumps within them, stack use over calls.
  u32 subprog_count() const { return static_cast<u32>(subprogs_.size()) - 1; }
  Result<u32> add_subprog(s64 start);
  s32 find_subprog(s64 start) const;
  Check find_subprogs();
  Check check_jumps();
  Check check_stack_depth();
  Check check_stack_depth_from(u32 root);

  // line_info.cc: func_info, line_info; core_relo.cc.
  Check check_btf_info();
  Check check_abnormal_return();
  Check check_func_info();
  Check check_line_info();
  Check check_core_relos();
  const bpf_line_info* line_of(u32 insn) const;
  // Writes the source line of an instruction unless it was the last one written.
  void print_line(u32 insn, std::string_view prefix);

  // resolve.cc: BPF_LD_IMM64 of maps, variables and functions.
  Check resolve_wide_loads();
  Check resolve_map(u32 index);
  Check resolve_variable(u32 index);
  Check check_map_for_program(const MapObject& map);

  // cfg.cc: reachability, back-edges, prune points.
  Check check_cfg();

  // kfunc.cc
  Check add_kfunc(u32 id, s16 offset);
  Check check_kfunc_call();
  Check check_kfuncs_resolved();
  std::map<u32, std::string> kfunc_names() const;
  std::map<u32, const char*> helper_symbols(std::span<const Insn> insns) const;
  Result<const Btf*> kfunc_btf(s16 offset);
  std::optional<std::string> kfunc_name(const Insn& insn);
  Check check_kfunc_pointer(const Btf& btf, const char* func, u32 index, u32 target, u32 flags);
  Result<bool> check_kfunc_memory(const Btf& btf, std::span<const btf_param> params, u32 index, u32 target);
  Check check_kptr_get(const Btf& btf, const char* func, u32 target);
  Check set_kfunc_result(const Btf& btf, const btf_type& proto, const char* func, const KfuncMeta& meta);
  void mark_kfunc_reg(u32 number, u32 size);

  // explore.cc: the main loop.
  Check check_subprog(u32 subprog);
  Check check_global_subprogs();
  Check explore();
  enum class Next { kInsn, kReturned, kPathDone };  // what follows: the next instruction, the caller, another path
  Result<Next> check_insn();
  Check check_load(const Insn& insn);
  Check check_store(const Insn& insn);
  Check check_store_constant(const Insn& insn);
  Result<Next> check_jump(const Insn& insn);
  Result<Next> check_exit(const Insn& insn);
  Check check_goto(const Insn& insn);
  void print_before_insn();
  void print_pruned();
  Check check_call(const Insn& insn);
  Check check_wide_load(const Insn& insn);
  Check check_ld_packet(const Insn& insn);
  Check remember_pointer_type(RegType type);
  State* push_state(u32 insn, s32 previous, bool speculative);
  State* push_async_callback(u32 insn, s32 previous, u32 subprog);
  bool pop_state();
  void init_frame(Frame& frame, s32 callsite, u32 number, u32 subprog);
  bool drops_log() const { return !(log_.level() & VerifierLog::kLevel2); }

  // recorder.cc: how the path got here, for explanations.
  void record_step();
  void record_stack_writes(const Insn& insn, Step& step) const;
  void name_place(Rejection& rejection) const;

  // return_code.cc
  Check check_return_code();

  // print.cc
  std::string type_text(RegType type) const;
  void print_reg(const Reg& reg);
  void print_state(const Frame& frame, bool all);
  void print_state_after_insn();
  void print_insn(u32 index);
  void print_bad_scalar(const Reg& reg, Tnum range, std::string_view context, std::string_view name);
  void touch_reg(u32 reg) { touched_regs_ |= 1u << reg; }
  void touch_slot(s32 slot) { touched_slots_ |= u64{1} << (slot & 63); }
  void touch_all() { touched_regs_ = ~0u, touched_slots_ = ~u64{0}; }

  // liveness.cc: who reads and writes what.
  Check use_reg(u32 reg, Use use);
  Check mark_read(const Reg& reg, u8 flag = kRead64);
  Check mark_upwards(Reg* reg, u8 flag);
  bool is_64_bit_use(const Insn& insn, u32 reg_number, const Reg* reg, Use use) const;
  void needs_zero_extension(Reg& reg);
  Check propagate_liveness(const State& from, State& to);

  // precision.cc: which scalars' exact values the verdict depends on.
  Check mark_precise(s32 reg) { return mark_precise(cur_.depth, reg, -1); }
  Check mark_precise(u32 frame, s32 reg, s32 slot);
  Check backtrack(u32 index, u32& regs, u64& slots);
  Check propagate_precision(const State& from);
  void remember_jump();

  // prune.cc: paths that need not be followed.
  Result<bool> already_explored();
  Check check_not_looping(const Explored& candidate);
  void keep_state();
  Explored** explored_at(u32 insn);
  void clean_explored(u32 insn);
  bool states_equal(const State& old, const State& now);
  bool frames_equal(const Frame& old, const Frame& now);
  bool regs_safe(const Reg& old, const Reg& now);
  bool stacks_safe(const Frame& old, const Frame& now);
  bool same_ids(u32 old, u32 now);

  // alu.cc, sanitize.cc
  Check check_alu(const Insn& insn);
  Check check_unary(const Insn& insn);
  Check check_move(const Insn& insn);
  Check check_binary(const Insn& insn);
  Check pointer_arithmetic(const Insn& insn, const Reg& pointer, const Reg& offset);
  void add_offset(Reg& dst, const Reg& pointer, const Reg& offset);
  void subtract_offset(Reg& dst, const Reg& offset);
  Check scalar_arithmetic(const Insn& insn, Reg& dst, const Reg& src);
  bool offset_is_sane(const Reg& reg, RegType type);
  struct Sanitation {
    u8 alu_state = 0;
    u32 alu_limit = 0;
    bool mask_to_left = false;
  };
  bool needs_no_sanitation(const Insn& insn) const { return bypass_spec_v1_ || BPF_SRC(insn.code) == BPF_K; }
  Unsafe sanitize_pointer(const Insn& insn, const Reg& pointer, const Reg& offset, Reg& dst, Sanitation& info,
                          bool commit);
  Unsafe update_sanitation(InsnAux& aux, u8 state, u32 limit);
  Check sanitize_bounds(const Insn& insn, const Reg& dst);
  std::unexpected<Errno> reject_unsafe(const Insn& insn, Unsafe reason);
  State* push_speculative(const Insn* insn, u32 next, u32 current);

  // branch.cc
  Check check_branch(const Insn& insn);
  Branch predict(const Insn& insn) const;
  Check follow_prediction(const Insn& insn, bool taken);
  void narrow_scalars(const Insn& insn, State& taken);
  bool match_packet_pointers(const Insn& insn, State& taken);
  void mark_null_check(State& state, u32 reg, bool is_null);
  void copy_to_equal_scalars(State& state, const Reg& known);
  void mark_not_null(Reg& reg);

  // access.cc, stack.cc, btf_access.cc: loads and stores.
  Check check_access(u32 insn, u32 reg, s32 off, u32 size, Access access, s32 value_reg, bool strict_once);
  Check check_alignment(const Reg& reg, s32 off, s32 size, bool strict_once);
  Check check_region(u32 reg, s32 off, s32 size, u32 region, bool zero_ok);
  Check check_region_once(u32 reg, s64 off, s32 size, u32 region, bool zero_ok);
  Check check_map_flags(u32 reg, s32 off, s32 size, Access access);
  Check check_map_value(u32 reg, s32 off, s32 size, bool zero_ok, By by);
  Check access_map_value(u32 insn, u32 reg, s32 off, u32 size, Access access, s32 value_reg);
  Check access_mem(u32 reg, s32 off, u32 size, Access access, s32 value_reg);
  Check access_ctx(u32 insn, u32 reg, s32 off, u32 size, Access access, s32 value_reg);
  Check access_packet(u32 reg, s32 off, u32 size, Access access, s32 value_reg);
  Check access_buffer(u32 reg, s32 off, s32 size, Access access, s32 value_reg);
  Check check_kptr_access(u32 insn, s32 value_reg, const KptrField& field);
  Check check_kptr_type(const KptrField& field, const Reg& reg, u32 number);
  Check check_packet_range(u32 reg, s32 off, s32 size, bool zero_ok);
  Check check_socket(u32 insn, u32 reg, s32 off, u32 size, Access access);
  Check check_buffer(std::string_view what, const Reg& reg, u32 number, s32 off, s32 size, u32& most);
  Check check_pointer_offset(const Reg& reg, u32 number, bool fixed_ok);
  Check check_atomic(const Insn& insn);
  bool may_use_packet(const CallMeta* meta, Access access);

  Check check_stack_bounds(u32 reg, s32 off, s32 size, By by, Access access);
  Check check_stack_read(u32 reg, s32 off, s32 size, s32 value_reg);
  Check check_stack_write(u32 reg, s32 off, s32 size, s32 value_reg, u32 insn);
  Check read_stack_fixed(Frame& frame, s32 off, s32 size, s32 value_reg);
  Check write_stack_fixed(Frame& frame, s32 off, s32 size, s32 value_reg, u32 insn);
  Check write_stack_variable(Frame& frame, u32 reg, s32 off, s32 size, s32 value_reg, u32 insn);
  Check check_stack_initialized(u32 reg, s32 off, s32 size, bool zero_ok, By by, CallMeta* meta);
  void read_stack_bytes(const Frame& frame, s32 min, s32 max, u32 value_reg);
  void spill(Frame& frame, s32 slot, const Reg& reg, u32 size);
  void grow_stack(Frame& frame, s32 bytes);

  Check access_btf_pointer(u32 reg, s32 off, u32 size, Access access, s32 value_reg);
  Check access_map_pointer(u32 reg, s32 off, u32 size, Access access, s32 value_reg);
  void load_btf_field(u32 value_reg, RegType type, const Btf* btf, u32 id, u32 flags);

  // args.cc: arguments of helpers.
  Check check_arg(u32 index, CallMeta& meta, const HelperProto& proto);
  Check check_arg_value(u32 index, ArgType type, CallMeta& meta, const HelperProto& proto);
  Check check_arg_type(u32 number, ArgType type, const char* structure, CallMeta& meta);
  Check check_arg_offset(const Reg& reg, u32 number, ArgType type);
  Check check_helper_mem(u32 reg, s32 size, Access access, bool zero_ok, CallMeta* meta);
  Check check_mem_size(u32 reg, Access access, bool zero_ok, CallMeta& meta);
  Check check_mem_reg(u32 reg, u32 size);
  Check check_const_string(u32 reg);
  Check no_field(const MapObject& map, Errno error, std::string_view name);
  Check check_spin_lock(u32 reg, bool lock);
  Check check_timer(u32 reg, CallMeta& meta);
  Check check_kptr_arg(u32 reg, CallMeta& meta);
  Check check_release_arg(u32 reg, ArgType type, CallMeta& meta);
  Check check_map_arg(u32 reg, CallMeta& meta);

  // dynptr.cc
  Check check_dynptr_arg(u32 index, ArgType type, CallMeta& meta);
  Check mark_dynptr(const Reg& reg, ArgType type, u32 insn);
  Check unmark_dynptr(const Reg& reg);
  bool is_dynptr_initialized(const Reg& reg) const;
  bool is_dynptr_of_type(const Reg& reg, ArgType type) const;
  bool overlaps_dynptr(const Reg& reg) const;

  // call.cc
  Check check_helper_call(const Insn& insn);
  Check check_helper_effects(const Insn& insn, const HelperProto& proto, CallMeta& meta);
  Check set_result(Reg& result, const HelperProto& proto, const CallMeta& meta);
  Check set_btf_result(Reg& result, const HelperProto& proto, const CallMeta& meta);
  Check check_func_ip();
  Check check_map_for_helper(const MapObject* map, u32 helper);
  bool may_update_sockmap(u32 helper);
  Check remember_map(const CallMeta& meta, u32 insn);
  Check remember_key(const CallMeta& meta, u32 insn);
  Check check_snprintf();
  Check check_no_references();
  Check release_reference(u32 id);
  u32 acquire_reference(u32 insn);
  void clobber_caller_saved() { clobber_caller_saved(cur_.frame()); }
  void clobber_caller_saved(Frame& frame);
  void forget_packet_pointers();
  void update_loop_inlining(u32 subprog);
  void refine_result(Reg& result, const HelperProto& proto, const CallMeta& meta);

  // function.cc: calls of the program's own functions and of callbacks.
  Check check_subprog_call(const Insn& insn);
  Check enter_function(const Insn& insn, u32 subprog, CalleeSetup setup);
  Check enter_async(u32 subprog, CalleeSetup setup);
  Check leave_function();
  Check pass_arguments(const Frame& caller, Frame& callee, u32 insn);
  Check pass_to_map_callback(const Frame& caller, Frame& callee, u32 insn);
  Check pass_to_loop_callback(const Frame& caller, Frame& callee, u32 insn);
  Check pass_to_timer_callback(const Frame& caller, Frame& callee, u32 insn);
  Check pass_to_vma_callback(const Frame& caller, Frame& callee, u32 insn);
  Check pass_to_ringbuf_callback(const Frame& caller, Frame& callee, u32 insn);
  void set_map_element(Reg& reg, RegBase base, const Reg& map);

  // func_args.cc: arguments of functions described by BTF.
  Check prepare_func_args(u32 subprog);
  Check check_subprog_args(u32 subprog, bool calling);
  Result<u32> check_func_args(const Btf& btf, u32 func_id, bool mem_ok, KfuncMeta* kfunc, bool calling);
  Result<bool> check_scalar_arg(const Btf& btf, const btf_param& param, u32 number, KfuncMeta* kfunc);
  Check check_memory_arg(const Btf& btf, u32 target, u32 index);
  bool is_ctx_type(const Btf& btf, const btf_type& pointer, u32 prog_type, u32 arg);

  // Small things.
  Reg& reg(u32 number) { return cur_.reg(number); }
  const Reg& reg(u32 number) const { return cur_.frame().regs[number]; }
  Frame& frame_of(const Reg& reg) { return *cur_.frames[reg.frame]; }
  const Frame& frame_of(const Reg& reg) const { return *cur_.frames[reg.frame]; }
  void mark_unknown(Reg& reg) { set_unknown(reg, !capable_); }
  void mark_not_init(Reg& reg) { set_not_init(reg, !capable_); }
  bool is_pointer_leak(const Reg& reg) const { return !allow_ptr_leaks_ && reg.type != kScalar; }
  u32 insn_count() const { return static_cast<u32>(insns_.size()); }
  u32 new_id() { return ++last_id_; }
  const Btf* vmlinux() const { return world_.vmlinux.get(); }

  const VerifierWorld& world_;
  const LoadRequest& request_;
  VerifierLog& log_;

  // The program.
  ProgInfo info_;
  const ProgTypeOps* ops_ = nullptr;
  Insns insns_;
  std::vector<InsnAux> aux_;
  std::vector<Subprog> subprogs_;  // and one past the last
  std::vector<std::shared_ptr<MapObject>> used_maps_;
  std::vector<std::shared_ptr<const Btf>> used_btfs_;
  std::vector<bpf_func_info> func_info_;
  std::vector<FuncFacts> func_facts_;
  std::vector<bpf_line_info> line_info_;
  std::vector<std::pair<s16, std::shared_ptr<const Btf>>> kfunc_btfs_;
  std::vector<std::pair<u32, s16>> kfuncs_;

  // What the loader may do (kernel: the like-named members of bpf_verifier_env).
  bool strict_alignment_, allow_ptr_leaks_, allow_uninit_stack_, allow_ptr_to_map_access_, bypass_spec_v1_,
      bypass_spec_v4_, capable_, test_state_freq_;
  bool explore_alu_limits_ = false;

  // The path being followed.
  StatePool pool_;
  State cur_;
  u32 insn_ = 0;
  s32 prev_insn_ = -1;     // the one before insn_ on this path
  bool new_path_ = false;  // the log does not show yet where this path begins
  std::vector<Pending> pending_;
  std::vector<Explored*> explored_;
  std::vector<Explored*> retired_;  // out of the lists, but still parents of states
  u32 last_id_ = 0;
  std::vector<std::pair<u32, u32>> id_map_;

  // What the log shows.
  u32 touched_regs_ = 0;
  u64 touched_slots_ = 0;
  size_t log_after_insn_ = 0, insn_text_length_ = 0;
  const bpf_line_info* last_line_ = nullptr;

  // Only there while a rejection is being explained.
  std::unique_ptr<Recorder> recorder_;

  // Statistics.
  u32 insns_processed_ = 0, jumps_processed_ = 0, insns_at_last_state_ = 0, jumps_at_last_state_ = 0;
  u32 max_states_per_insn_ = 0, total_states_ = 0, peak_states_ = 0, longest_read_walk_ = 0;
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// What the verifier asks of its surroundings: the rules of a program type (context layout, which helpers), helper
// prototypes, and the rewriting of instructions after verification. The verifier proper is in the other files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emu/bpf/program.h"
#include "emu/btf/verifier_log.h"
#include "emu/verifier/types.h"
#include "emu/verifier/verifier.h"

namespace bpfemu {

// A context argument that is a pointer (iterators; kernel: struct bpf_ctx_arg_aux).
struct CtxArg {
  u32 offset = 0;
  RegType reg_type = kNotInit;
  u32 btf_id = 0;
};

// The program under verification, as the rules of its type see it (kernel: struct bpf_prog and its aux).
struct ProgInfo {
  u32 type = 0;  // as loaded; see resolved_type() for freplace
  u32 expected_attach_type = 0;
  bool gpl_compatible = false;
  bool sleepable = false;
  Capabilities caps;
  const VerifierWorld* world = nullptr;

  // Attach target of tracing, LSM, freplace and struct_ops programs, set by the verifier before any access is checked.
  std::shared_ptr<const Btf> attach_btf;
  u32 attach_btf_id = 0;
  const btf_type* attach_func_proto = nullptr;
  std::string attach_func_name;
  bool attach_btf_trace = false;  // tp_btf: the first argument of the typedef'd proto is the program's data
  std::shared_ptr<Program> dst_prog;
  u32 saved_dst_prog_type = 0;  // freplace: the type of the program that is replaced
  u32 saved_dst_attach_type = 0;
  std::vector<CtxArg> ctx_args;

  // Found out while verifying.
  u32 max_ctx_offset = 0, max_pkt_offset = 0, max_tp_access = 0, max_rdonly_access = 0, max_rdwr_access = 0;
  u64 ctx_words = 0;  // VerifiedProgram's, as the next
  bool looks_into_maps = false;
  std::set<std::string_view> untold_fields;
  std::set<FieldRead> field_reads;
  bool enforce_expected_attach_type = false;
  bool seen_direct_write = false;  // gen_prologue's argument
  bool has_callchain_buf = false, call_get_func_ip = false, call_get_stack = false, override_return = false;

  void reads_ctx(u32 offset, u32 bytes) {
    for (u32 word = offset / 8; word <= (offset + bytes - 1) / 8; ++word) ctx_words |= u64{1} << std::min(word, 63u);
  }
  void reads_all_ctx() { ctx_words = ~u64{0}; }
  u32 resolved_type() const { return type == BPF_PROG_TYPE_EXT && saved_dst_prog_type ? saved_dst_prog_type : type; }
};

// What an allowed context access yields (kernel: struct bpf_insn_access_aux).
struct CtxAccess {
  RegType reg_type = kScalar;
  int ctx_field_size = 0;    // of the field, for narrow loads; 0: none
  const Btf* btf = nullptr;  // of a kPtrToBtfId
  u32 btf_id = 0;
};

// One helper's prototype (kernel: struct bpf_func_proto).
struct HelperProto {
  u32 id = 0;  // BPF_FUNC_*
  const char* name = "";
  const char* symbol = nullptr;  // kernel function that the call reaches, as dumps resolve it; null: tail_call
  RetType ret = kRetInteger;
  ArgType args[5] = {};
  u32 arg_size[5] = {};            // of kFixedSize memory
  const char* arg_struct[5] = {};  // of kArgPtrToBtfId: struct name in vmlinux BTF; kAnyStruct: decided by the verifier
  const char* ret_struct = nullptr;  // of kRetPtrToBtfId; kAnyStruct likewise (kptr_xchg)
  bool gpl_only = false;
  bool pkt_access = false;  // memory arguments may point into the packet
  bool might_sleep = false;
  bool (*allowed)(const ProgInfo& prog) = nullptr;
};
inline constexpr const char* kAnyStruct = "*";  // kernel: BPF_PTR_POISON

// The rules of one program type (kernel: struct bpf_verifier_ops).
struct ProgTypeOps {
  // Is an access of `size` bytes at `offset` of the context allowed, and what does it yield? May log (tracing types
  // do).
  bool (*is_valid_access)(int offset, int size, Access access, const ProgInfo& prog, VerifierLog& log, CtxAccess& info);
  // The prototype that a program of this type gets for a helper, null: not for this type or these capabilities.
  const HelperProto* (*helper)(u32 id, const ProgInfo& prog);
  // LD_ABS and LD_IND may be used (kernel: may_access_skb).
  bool ld_abs = false;
  // Packet data may be read (kernel: may_access_direct_pkt_data with BPF_READ) and written.
  bool (*direct_packet)(const ProgInfo& prog, Access access) = nullptr;
  // A prologue exists that makes the packet writable: remember seen_direct_write.
  bool gen_prologue = false;
  // Accesses through BTF pointers have rules of their own; null: plain btf_struct_access(), reads only. What a read
  // yields (kScalar, or kPtrToBtfId with *next_btf_id and *flags), 0 for an allowed write, -errno (kernel:
  // btf_struct_access).
  int (*btf_struct_access)(const ProgInfo& prog, VerifierLog& log, const Btf& btf, u32 btf_id, int offset, int size,
                           Access access, u32* next_btf_id, u32* flags) = nullptr;
};

// Null: no such program type (kernel: bpf_verifier_ops[]).
const ProgTypeOps* prog_type_ops(u32 type);

// Name of a helper ("map_lookup_elem", "unknown" when out of range).
const char* helper_name(u32 id);
// Does a helper move or change packet data, so that packet pointers die (kernel: bpf_helper_changes_pkt_data)?
bool helper_changes_packet(u32 id);
// Accesses through kPtrToSockCommon, kPtrToSocket, kPtrToTcpSock, kPtrToXdpSock (kernel: bpf_sock_is_valid_access,
// ...).
bool is_valid_sock_access(RegType base, int offset, int size, Access access, CtxAccess& info);

// --- After verification ------------------------------------------------------------------------------------------

// Possible states of InsnAux::alu_state (speculative execution; kernel: BPF_ALU_*).
inline constexpr u8 kAluSanitizeSrc = 1, kAluSanitizeDst = 2, kAluNegValue = 4, kAluNonPointer = 8, kAluImmediate = 16;

// What the verifier learnt of one instruction (kernel: struct bpf_insn_aux_data).
struct InsnAux {
  RegType ptr_type = kNotInit;  // loads and stores: type of the base register
  // Calls of map helpers: the one map it is ever called with; poisoned when several or none.
  MapObject* map = nullptr;
  bool map_poisoned = false, map_unpriv = false;
  bool map_key_seen = false, map_key_poisoned = false;
  u64 map_key = 0;                  // constant key, for tail calls
  u32 map_index = 0;                // BPF_LD_IMM64 of a map: index into used_maps
  u64 map_offset = 0;               // BPF_PSEUDO_MAP_VALUE: offset in the value
  RegType btf_var_type = kNotInit;  // BPF_PSEUDO_BTF_ID
  const Btf* btf_var_btf = nullptr;
  u32 btf_var_id = 0, btf_var_size = 0;
  bool loop_initialized = false, loop_fit_for_inline = false;
  u32 loop_subprog = 0;
  u32 alu_limit = 0;
  u8 alu_state = 0;
  int ctx_field_size = 0;
  bool seen = false;                  // on a path that is possible
  bool sanitize_stack_spill = false;  // Spectre v4: needs a barrier
  bool zext_dst = false;              // the upper half of the destination must be zeroed
  bool prune_point = false, jmp_point = false;
  u32 orig_idx = 0;
  s32 call_imm = 0;
};

struct Subprog {
  u32 start = 0;  // index of its first instruction
  u32 line_info_idx = 0;
  u16 stack_depth = 0;
  bool has_tail_call = false;
  bool tail_call_reachable = false;
  bool has_ld_abs = false;
  bool is_async_callback = false;
};

// A verified program on its way through the rewriting phases, which keep all of it consistent.
struct FixupProgram {
  ProgInfo& info;
  const ProgTypeOps& ops;
  VerifierLog& log;
  Insns insns;
  std::vector<InsnAux> aux;       // one per instruction
  std::vector<Subprog> subprogs;  // a last one with start = insns.size() follows
  std::vector<std::shared_ptr<MapObject>> used_maps;
  std::vector<std::shared_ptr<const Btf>> used_btfs;
  std::vector<bpf_func_info> func_info;
  std::vector<bpf_line_info> line_info;
  bool privileged = true;  // kernel: bpf_capable(): dead code is removed rather than trapped
  bool bypass_spec_v1 = true, bypass_spec_v4 = true;
  u32 stack_depth_extra = 0;  // what bpf_loop inlining adds
  s32 direct_tail_calls = 0;
};

// Kernel: from optimize_bpf_loop to fixup_call_args: dead code, context accesses, inlining, call offsets; the map loads
// get their arena addresses. EINVAL, EFAULT, ENOMEM as there. What comes back is the program as the claimed kernel would
// have rewritten it, which dumps show: other offsets in contexts, look-ups in maps inlined. Its lines are the same ones.
Result<FixupProgram> fix_up(FixupProgram& program);

}  // namespace bpfemu

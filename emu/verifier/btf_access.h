// SPDX-License-Identifier: Apache-2.0
// What kernel BTF says about pointers: walks through structs, typed context arguments, and the functions that tracing,
// LSM, freplace and iterator programs attach to.
#pragma once

#include <string_view>

#include "emu/verifier/prog_env.h"

namespace bpfemu {

// The kind of a type as logs spell it: "STRUCT" (kernel: btf_type_str). Null: "UNKNOWN".
const char* btf_kind_name(const btf_type* type);

// Where an access through a BTF pointer ends: a scalar, or a pointer to a further struct.
struct BtfField {
  RegType type = kScalar;  // kScalar or kPtrToBtfId
  u32 btf_id = 0;          // of the struct pointed to
  u32 flags = 0;           // kUser, kPercpu: type tags of the pointer
};

// The field of `size` bytes at `off` in struct `type_id`: EACCES, with the reason in the log (kernel:
// btf_struct_access).
Result<BtfField> btf_struct_access(const Btf& btf, u32 type_id, s64 off, u32 size, Access access, VerifierLog& log);

// Is there a struct `need_id` at `off` of struct `id`? Not strict: at the start of it or of what it begins with
// (kernel: btf_struct_ids_match).
bool btf_struct_ids_match(const Btf& btf, u32 id, s64 off, const Btf& need_btf, u32 need_id, bool strict,
                          VerifierLog& log);

// Accesses through BTF pointers of XDP and tc programs, and of struct_ops programs, which may write some fields
// (ProgTypeOps::btf_struct_access; kernel: tc_cls_act_btf_struct_access, bpf_tcp_ca_btf_struct_access).
int connection_access(const ProgInfo& prog, VerifierLog& log, const Btf& btf, u32 btf_id, int offset, int size,
                      Access access, u32* next_btf_id, u32* flags);
int struct_ops_field_access(const ProgInfo& prog, VerifierLog& log, const Btf& btf, u32 btf_id, int offset, int size,
                            Access access, u32* next_btf_id, u32* flags);

// The argument at `off` of the attached function's context, and what it is (kernel: btf_ctx_access).
bool btf_ctx_access(int off, int size, Access access, const ProgInfo& prog, VerifierLog& log, CtxAccess& info);

// May programs on this LSM hook ("bpf_lsm_file_open") sleep (kernel: bpf_lsm_is_sleepable_hook)?
bool is_sleepable_lsm_hook(std::string_view hook);

// The kernel's struct behind the context of programs of a type, if `pointer` points to that context's struct: ENOENT.
// `vmlinux` knows the pairs (kernel: btf_get_prog_ctx_type, btf_translate_to_vmlinux).
Result<u32> kernel_ctx_struct(const Btf& vmlinux, const Btf& btf, const btf_type& pointer, u32 prog_type, u32 arg,
                              VerifierLog& log);

// A function of the program under verification, for comparison with the one that it replaces.
struct OwnFunction {
  const Btf* btf = nullptr;  // null: no func_info
  u32 func_id = 0;
};

// What a program attaches to.
struct AttachTarget {
  const btf_type* func_proto = nullptr;  // of the function; for tp_btf of the tracepoint's probe; null: not reliable
  std::string name;
  u64 address = 0;
};

// Resolves and checks the target of attaching `prog`: function, tracepoint or iterator `btf_id` of `prog`'s attach_btf
// or, with `target`, a function of that program (kernel: bpf_check_attach_target).
Result<AttachTarget> check_attach_target(const ProgInfo& prog, const Program* target, u32 btf_id,
                                         const OwnFunction& main, VerifierLog& log);

// Checks what a program under verification attaches to and fills in the attach_*, saved_* and ctx_args members. A
// freplace program then takes over its target's expected attach type (kernel: check_attach_btf_id).
Result<void> set_attach_target(ProgInfo& prog, const OwnFunction& main, VerifierLog& log);

}  // namespace bpfemu

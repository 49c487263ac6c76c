// SPDX-License-Identifier: Apache-2.0
// Program and attach types as BPF_PROG_LOAD, BPF_PROG_ATTACH and BPF_LINK_CREATE see them.
#pragma once

#include <span>

#include "emu/verifier/prog_env.h"

namespace bpfemu {

// What it takes to load a program, and whether the claimed kernel is built with the type at all.
enum ProgRights : u32 { kBpf = 0, kUnprivileged = 1, kNetAdmin = 2, kPerfmon = 4, kNotBuilt = 8 };

struct ProgTypeEntry {
  u32 id;
  const char* name;
  u32 since;            // kernel_version() that it came with
  u32 rights;           // ProgRights
  const char* context;  // BTF name of the context's type
  const ProgTypeOps* ops;
};
// In the order of their ids; the first is id 1.
std::span<const ProgTypeEntry> prog_type_entries();
// Null: out of range.
const ProgTypeEntry* prog_type_entry(u32 type);

struct AttachTypeEntry {
  u32 id;
  const char* name;
  u32 since;
  u32 prog_type;
  bool names_prog_type;  // BPF_PROG_ATTACH infers the program type from it
};
std::span<const AttachTypeEntry> attach_type_entries();

struct LinkTypeEntry {
  u32 id;
  const char* name;
  u32 since;
};
std::span<const LinkTypeEntry> link_type_entries();

// May this task load a program of this type: EPERM (kernel: bpf_prog_load). Unknown types are not its business.
Result<void> check_load_rights(u32 type, const Capabilities& caps);
// What a zero expected_attach_type means (kernel: bpf_prog_load_fixup_attach_type).
u32 effective_attach_type(u32 type, u32 expected_attach_type);
// Do type, expected attach type and target go together: EINVAL (kernel: bpf_prog_load_check_attach).
Result<void> check_load_attach(u32 type, u32 expected_attach_type, bool has_attach_btf, u32 attach_btf_id,
                               bool has_target_program);
// The type of program that BPF_PROG_ATTACH expects, BPF_PROG_TYPE_UNSPEC for none (kernel: attach_type_to_prog_type).
u32 attach_prog_type(u32 attach_type);
// May `prog` be attached as `attach_type`: EINVAL, EPERM (kernel: bpf_prog_attach_check_attach_type).
Result<void> check_attach_type(const Program& prog, bool enforce_expected, u32 attach_type, const Capabilities& caps);

}  // namespace bpfemu

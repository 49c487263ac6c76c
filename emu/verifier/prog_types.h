// SPDX-License-Identifier: Apache-2.0
// Program types as BPF_PROG_LOAD sees them.
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

// May this task load a program of this type: EPERM (kernel: bpf_prog_load). Unknown types are not its business.
Result<void> check_load_rights(u32 type, const Capabilities& caps);
// What a zero expected_attach_type means (kernel: bpf_prog_load_fixup_attach_type).
u32 effective_attach_type(u32 type, u32 expected_attach_type);
// Do type, expected attach type and target go together: EINVAL (kernel: bpf_prog_load_check_attach).
Result<void> check_load_attach(u32 type, u32 expected_attach_type, bool has_attach_btf, u32 attach_btf_id,
                               bool has_target_program);

}  // namespace bpfemu

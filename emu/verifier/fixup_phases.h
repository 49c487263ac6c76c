// SPDX-License-Identifier: Apache-2.0
// The steps of fix_up(), in their order.
#pragma once

#include "emu/verifier/prog_env.h"

namespace bpfemu {

// bpf_loop with a callback that is known becomes a loop (kernel: optimize_bpf_loop).
Result<void> inline_loops(FixupProgram& program);
// Instructions on no possible path are removed, or with an unprivileged loader trapped (kernel: opt_remove_dead_code,
// sanitize_dead_code).
Result<void> drop_dead_code(FixupProgram& program);
// Loads and stores of context fields become those of the runtime's objects, loads through kernel pointers safe ones
// (kernel: convert_ctx_accesses).
Result<void> convert_accesses(FixupProgram& program);
// Divisions, tail calls and calls that need preparation (kernel: do_misc_fixups).
Result<void> prepare_calls(FixupProgram& program);

}  // namespace bpfemu

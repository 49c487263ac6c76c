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

// The last two as the claimed kernel does them, for dumps: with the offsets of its own objects, look-ups in maps as the
// instructions that it puts in their place, and calls of maps' functions. Such a call has map_function()'s number in off.
Result<void> show_accesses(FixupProgram& program);
Result<void> show_calls(FixupProgram& program);
// The kernel's function that a call leads to, by the number in its off.
const char* map_function(s16 number);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "emu/bpf/program.h"
#include "emu/verifier/verifier.h"

namespace bpfemu {

// The instructions of a loaded program as bpf_prog_info shows them (`xlated`): map addresses become map ids, calls of
// helpers the distance of the kernel function from __bpf_call_base. `raw`: the reader may see kernel addresses
// (kernel: bpf_insn_prepare_dump, bpf_dump_raw_ok).
Insns dump_insns(const Program& program, const VerifierWorld& world, bool raw);
// The same as the kernel's JIT gets them, of which the tags of functions are made: calls within the program have the
// number of the function in off (kernel: jit_subprogs).
Insns jit_insns(const Program& program, const VerifierWorld& world);

}  // namespace bpfemu

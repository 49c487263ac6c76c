// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/bpf.h"

namespace bpfemu {

// Kernel: bpf_prog_test_run.
Result<u64> prog_test_run(BpfCall& call) {
  auto& attr = call.attr.test;
  if (!attr.ctx_size_in != !attr.ctx_in || !attr.ctx_size_out != !attr.ctx_out) return fail(EINVAL);
  auto program = TRY(call.program(attr.prog_fd));
  call.system.unmodelled.note("BPF_PROG_TEST_RUN of program type " + std::to_string(program->type));
  return fail(kErrNotSupp);
}

}  // namespace bpfemu

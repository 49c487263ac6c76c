// SPDX-License-Identifier: Apache-2.0
// Tracing programs (kernel: bpf_prog_test_run_tracing): the kernel calls functions of its own, which runs whatever is
// attached to them.
#include "emu/test_run/bench.h"

namespace bpfemu {

Result<void> test_run_tracing(TestBench& bench) {
  const TestAttr& attr = bench.attr;
  if (attr.flags || attr.cpu || attr.batch_size) return fail(EINVAL);
  u32 retval = 0;
  switch (bench.program.expected_attach_type) {
    case BPF_TRACE_FENTRY:
    case BPF_TRACE_FEXIT: bench.caller.call_test_functions(false); break;
    case BPF_MODIFY_RETURN: {
      // bpf_modify_return_test(1, &b) adds one to b, which is the side effect, and returns the sum.
      bench.caller.call_test_functions(true);
      constexpr u32 kSideEffect = 1, kSum = 1 + (2 + 1);
      retval = kSideEffect << 16 | kSum;
      break;
    }
    default: return fail(EFAULT);
  }
  return bench.caller.put_attr(offsetof(bpf_attr, test.retval), &retval, sizeof retval);
}

}  // namespace bpfemu

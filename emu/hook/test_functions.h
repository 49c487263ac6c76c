// SPDX-License-Identifier: Apache-2.0
// What BPF_PROG_TEST_RUN of a tracing program calls (kernel: bpf_prog_test_run_tracing): functions that are there for
// whatever hangs on them.
#pragma once

#include "emu/hook/occasion.h"

namespace bpfemu {

void pass_fentry_tests(Occasion& occasion);
void pass_modify_return_test(Occasion& occasion);
// The run of a program on a packet ends with `result`, 0 or -errno, which writable programs may change: what they made of
// it (kernel: trace_bpf_test_finish).
s32 pass_test_finish(Occasion& occasion, s32 result);

}  // namespace bpfemu

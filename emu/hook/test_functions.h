// SPDX-License-Identifier: Apache-2.0
// What BPF_PROG_TEST_RUN of a tracing program calls (kernel: bpf_prog_test_run_tracing): functions that are there for
// whatever hangs on them.
#pragma once

#include "emu/hook/occasion.h"
#include "emu/runtime/contexts.h"

namespace bpfemu {

void pass_fentry_tests(Occasion& occasion);
void pass_modify_return_test(Occasion& occasion);
// The run of a program on a packet ends with `result`, 0 or -errno, which writable programs may change: what they made of
// it (kernel: trace_bpf_test_finish).
s32 pass_test_finish(Occasion& occasion, s32 result);
// `take` takes the link's header off the packet of `device` (kernel: eth_type_trans).
u16 pass_link_header(Occasion& occasion, const RunSkb& skb, u64 device, const std::function<u16()>& take);
// The packet is freed behind the run (kernel: kfree_skb).
void pass_freed_packet(Occasion& occasion, const RunSkb& skb);

}  // namespace bpfemu

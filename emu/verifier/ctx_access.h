// SPDX-License-Identifier: Apache-2.0
// The context rules of every kind of program (kernel: *_is_valid_access). All share ProgTypeOps::is_valid_access's
// type.
#pragma once

#include "emu/verifier/prog_env.h"

namespace bpfemu {

using CtxCheck = bool(int offset, int size, Access access, const ProgInfo& prog, VerifierLog& log, CtxAccess& info);

// ctx_skb.cc: programs whose context is a struct __sk_buff.
CtxCheck socket_filter_access, cgroup_skb_access, lwt_access, sched_access, sk_skb_access, flow_dissector_access;
// ctx_net.cc
CtxCheck xdp_access, sk_msg_access, sk_reuseport_access, sk_lookup_access;
// ctx_sock.cc, ctx_cgroup.cc
CtxCheck cgroup_sock_access, cgroup_sock_addr_access, sock_ops_access, cgroup_device_access, cgroup_sysctl_access,
    cgroup_sockopt_access;
// ctx_tracing.cc
CtxCheck kprobe_access, tracepoint_access, raw_tracepoint_access, raw_tracepoint_writable_access, perf_event_access,
    tracing_access, lsm_access, struct_ops_access, syscall_access, lirc_access;

}  // namespace bpfemu

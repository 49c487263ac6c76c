// SPDX-License-Identifier: Apache-2.0
// Which helpers a program of each type may call (kernel: the *_func_proto functions).
#pragma once

#include <span>

#include "emu/verifier/prog_env.h"

namespace bpfemu {

// Helpers under one condition. Null: always.
struct HelperGroup {
  std::span<const HelperProto* const> protos;
  bool (*when)(const ProgInfo& prog) = nullptr;
};

// A set and what it builds upon. A helper that a set lists, but under conditions that do not hold, is not looked for in
// the sets below.
struct HelperSet {
  std::span<const HelperGroup> groups;
  const HelperSet* base = nullptr;

  const HelperProto* find(u32 id, const ProgInfo& prog) const;
};

// `helper` of ProgTypeOps, one a kind of program.
using HelperLookup = const HelperProto*(u32 id, const ProgInfo& prog);
HelperLookup base_helpers, socket_filter_helpers, cgroup_skb_helpers, sched_helpers, xdp_helpers, cgroup_sock_helpers,
    cgroup_sock_addr_helpers, sock_ops_helpers, sk_skb_helpers, sk_msg_helpers, flow_dissector_helpers, lwt_in_helpers,
    lwt_out_helpers, lwt_xmit_helpers, lwt_seg6local_helpers, cgroup_device_helpers, cgroup_sysctl_helpers,
    cgroup_sockopt_helpers, sk_reuseport_helpers, sk_lookup_helpers, lirc_helpers, kprobe_helpers, tracepoint_helpers,
    perf_event_helpers, raw_tracepoint_helpers, tracing_helpers, lsm_helpers, struct_ops_helpers, syscall_helpers;

}  // namespace bpfemu

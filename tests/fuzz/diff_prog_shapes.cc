// SPDX-License-Identifier: Apache-2.0
#include <linux/btf.h>

#include "tests/fuzz/diff_code.h"
#include "tests/fuzz/verifier_btf.h"

namespace bpfemu::fuzz {

const std::vector<ProgShape>& prog_shapes() {
  constexpr u32 kSkb = 192;
  static const std::vector<u16> skb_reads = {0, 4, 8, 12, 16, 20, 32, 36, 40, 44, 48, 56, 64, 68, 160, 164};
  static const std::vector<u16> skb_writes = {8, 32, 44, 48, 64};
  static const std::vector<ProgShape> shapes = {
      {BPF_PROG_TYPE_SOCKET_FILTER, 0, false, kSkb, skb_reads, {48, 64}},
      {BPF_PROG_TYPE_SOCKET_FILTER, 0, false, kSkb, skb_reads, {48, 64}},
      {BPF_PROG_TYPE_SCHED_CLS, 0, false, kSkb, skb_reads, skb_writes},
      {BPF_PROG_TYPE_SCHED_CLS, 0, false, kSkb, skb_reads, skb_writes},
      {BPF_PROG_TYPE_SCHED_ACT, 0, false, kSkb, skb_reads, skb_writes},
      {BPF_PROG_TYPE_XDP, 0, false, 24, {12, 16, 20}, {}},
      {BPF_PROG_TYPE_XDP, BPF_XDP, false, 24, {12, 16}, {}},
      {BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, false, 24, {12, 20}, {}},
      {BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP, false, 24, {12}, {}},
      {BPF_PROG_TYPE_LWT_XMIT, 0, false, kSkb, skb_reads, {8, 48}},
      {BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, true, kSkb, skb_reads, {8, 32, 48}},
      {BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, true, kSkb, skb_reads, {8, 32, 48}},
      {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE, true, 0, {4, 8, 12}, {16, 20}},
      {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE, true, 0, {4, 8, 12}, {16, 20}},
      {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_RELEASE, true, 0, {4, 8}, {}},
      {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET4_POST_BIND, true, 0, {4, 8, 12, 24}, {}},
      {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND, true, 0, {0, 4, 28, 32, 36}, {}},
      {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, true, 0, {0, 4, 24, 28, 32, 36}, {}},
      {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG, true, 0, {0, 4, 24, 28}, {}},
      {BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_CGROUP_GETSOCKOPT, true, 0, {24, 28, 32, 36}, {}},
      {BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_CGROUP_SETSOCKOPT, true, 0, {24, 28, 32}, {}},
      {BPF_PROG_TYPE_CGROUP_SYSCTL, BPF_CGROUP_SYSCTL, true, 0, {0, 4}, {}},
      {BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE, true, 0, {0, 4, 8}, {}},
      {BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, true, 0, {0, 20, 44}, {4}},
      {BPF_PROG_TYPE_SK_SKB, BPF_SK_SKB_VERDICT, true, 0, {0, 16}, {44}},
      {BPF_PROG_TYPE_SK_MSG, BPF_SK_MSG_VERDICT, true, 0, {16}, {}},
      {BPF_PROG_TYPE_SK_REUSEPORT, BPF_SK_REUSEPORT_SELECT, true, 0, {16, 20, 24}, {}},
      {BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP, true, 64, {8, 12, 16}, {}},
      {BPF_PROG_TYPE_FLOW_DISSECTOR, BPF_FLOW_DISSECTOR, true, 0, {}, {}},
      {BPF_PROG_TYPE_RAW_TRACEPOINT, 0, false, 32, {}, {}},
      {BPF_PROG_TYPE_RAW_TRACEPOINT, 0, false, 32, {}, {}},
      {BPF_PROG_TYPE_TRACEPOINT, 0, false, 0, {8}, {}},
      {BPF_PROG_TYPE_KPROBE, 0, false, 0, {}, {}},
      {BPF_PROG_TYPE_PERF_EVENT, 0, false, 0, {}, {}},
      {BPF_PROG_TYPE_SYSCALL, 0, false, 32, {0, 4, 8}, {0, 8, 16}},
      {BPF_PROG_TYPE_SYSCALL, 0, false, 32, {0, 4, 8}, {0, 8, 16}},
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, false, 0, {}, {}, "security_task_getpgid", BTF_KIND_FUNC},
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, false, 0, {}, {}, "security_task_getpgid", BTF_KIND_FUNC},
      {BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, false, 0, {}, {}, "security_task_getpgid", BTF_KIND_FUNC},
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, false, 0, {}, {}, "btf_trace_task_rename", BTF_KIND_TYPEDEF},
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, false, 0, {}, {}, "bpf_iter_bpf_map_elem", BTF_KIND_FUNC},
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, false, 0, {}, {}, "bpf_iter_bpf_map_elem", BTF_KIND_FUNC},
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, false, 0, {}, {}, "bpf_iter_bpf_map", BTF_KIND_FUNC},
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, false, 0, {}, {}, "bpf_iter_bpf_prog", BTF_KIND_FUNC},
      {BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, false, 0, {}, {}, "bpf_iter_bpf_link", BTF_KIND_FUNC},
      {BPF_PROG_TYPE_LSM, BPF_LSM_MAC, false, 0, {}, {}, "bpf_lsm_task_getpgid", BTF_KIND_FUNC},
      {BPF_PROG_TYPE_LSM, BPF_LSM_CGROUP, true, 0, {}, {}, "bpf_lsm_socket_post_create", BTF_KIND_FUNC}};
  return shapes;
}

u32 kernel_id(const ProgShape& shape) {
  if (!shape.kernel) return 0;
  static std::map<std::string, u32> known;
  const auto [at, fresh] = known.try_emplace(shape.kernel, 0);
  if (fresh) at->second = kernel_type(shape.kernel, shape.kernel_kind);
  return at->second;
}

}  // namespace bpfemu::fuzz

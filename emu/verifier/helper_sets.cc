// SPDX-License-Identifier: Apache-2.0
#include "emu/verifier/helper_sets.h"

#include <string_view>

#include "emu/bpf/iter_targets.h"
#include "emu/verifier/ctx_fields.h"
#include "emu/verifier/helper_protos.h"

namespace bpfemu {
namespace {

using namespace protos;
using P = const HelperProto*;

// clang-format off
constexpr P kBaseAny[] = {
    &map_lookup_elem, &map_update_elem, &map_delete_elem, &map_push_elem, &map_pop_elem, &map_peek_elem,
    &map_lookup_percpu_elem, &get_prandom_u32, &get_raw_smp_processor_id, &get_numa_node_id, &tail_call,
    &ktime_get_ns, &ktime_get_boot_ns, &ktime_get_tai_ns, &ringbuf_output, &ringbuf_reserve, &ringbuf_submit,
    &ringbuf_discard, &ringbuf_query, &strncmp, &strtol, &strtoul,
};

constexpr P kBaseBpf[] = {
    &spin_lock, &spin_unlock, &jiffies64, &per_cpu_ptr, &this_cpu_ptr, &timer_init, &timer_set_callback, &timer_start,
    &timer_cancel, &kptr_xchg, &for_each_map_elem, &loop, &user_ringbuf_drain, &ringbuf_reserve_dynptr,
    &ringbuf_submit_dynptr, &ringbuf_discard_dynptr, &dynptr_from_mem, &dynptr_read, &dynptr_write, &dynptr_data,
};

constexpr P kBasePerfmon[] = {
    &trace_printk, &get_current_task, &get_current_task_btf, &probe_read_user, &probe_read_kernel,
    &probe_read_user_str, &probe_read_kernel_str, &snprintf_btf, &snprintf, &task_pt_regs, &trace_vprintk,
};

constexpr P kSkBasePerfmon[] = {
    &skc_to_tcp6_sock, &skc_to_tcp_sock, &skc_to_tcp_timewait_sock, &skc_to_tcp_request_sock, &skc_to_udp6_sock,
    &skc_to_unix_sock, &skc_to_mptcp_sock,
};

constexpr P kCoarseClock[] = {&ktime_get_coarse_ns};

constexpr P kCgroupStorage[] = {&get_local_storage};

constexpr P kCgroupRetval[] = {&get_retval, &set_retval};

constexpr P kCgroupCurrent[] = {
    &get_current_uid_gid, &get_current_pid_tgid, &get_current_comm, &get_current_cgroup_id,
    &get_current_ancestor_cgroup_id, &get_cgroup_classid_curr,
};

constexpr P kCgroupDevice[] = {&event_output_data};

constexpr P kCgroupSysctl[] = {
    &sysctl_get_name, &sysctl_get_current_value, &sysctl_get_new_value, &sysctl_set_new_value, &ktime_get_coarse_ns,
    &event_output_data,
};

constexpr P kCgroupSockopt[] = {
    &get_netns_cookie_sockopt, &sk_storage_get, &sk_storage_delete, &tcp_sock, &event_output_data,
};

constexpr P kCgroupSock[] = {
    &get_socket_cookie_sock, &get_netns_cookie_sock, &event_output_data, &sk_storage_get_cg_sock,
    &ktime_get_coarse_ns,
};

constexpr P kCgroupSockAddr[] = {
    &get_socket_cookie_sock_addr, &get_netns_cookie_sock_addr, &event_output_data, &sock_addr_sk_lookup_tcp,
    &sock_addr_sk_lookup_udp, &sk_release, &sock_addr_skc_lookup_tcp, &sk_storage_get, &sk_storage_delete,
};

constexpr P kBind[] = {&bind};

constexpr P kSockAddrOptions[] = {&sock_addr_setsockopt, &sock_addr_getsockopt};

constexpr P kSocketOptions[] = {&sk_setsockopt, &sk_getsockopt};

constexpr P kUnlockedSocketOptions[] = {&unlocked_sk_setsockopt, &unlocked_sk_getsockopt};

constexpr P kSocketFilter[] = {
    &skb_load_bytes, &skb_load_bytes_relative, &get_socket_cookie, &get_socket_uid, &skb_event_output,
};

constexpr P kCgroupSkb[] = {
    &sk_fullsock, &sk_storage_get, &sk_storage_delete, &skb_event_output, &skb_cgroup_id, &skb_ancestor_cgroup_id,
    &sk_cgroup_id, &sk_ancestor_cgroup_id, &sk_lookup_tcp, &sk_lookup_udp, &sk_release, &skc_lookup_tcp, &tcp_sock,
    &get_listener_sock, &skb_ecn_set_ce,
};

constexpr P kSched[] = {
    &skb_store_bytes, &skb_load_bytes, &skb_load_bytes_relative, &skb_pull_data, &csum_diff, &csum_update,
    &csum_level, &l3_csum_replace, &l4_csum_replace, &clone_redirect, &get_cgroup_classid, &skb_vlan_push,
    &skb_vlan_pop, &skb_change_proto, &skb_change_type, &skb_adjust_room, &skb_change_tail, &skb_change_head,
    &skb_get_tunnel_key, &skb_set_tunnel_key, &skb_get_tunnel_opt, &skb_set_tunnel_opt, &redirect, &redirect_neigh,
    &redirect_peer, &get_route_realm, &get_hash_recalc, &set_hash_invalid, &set_hash, &skb_event_output,
    &get_smp_processor_id, &skb_under_cgroup, &get_socket_cookie, &get_socket_uid, &skb_fib_lookup, &skb_check_mtu,
    &sk_fullsock, &sk_storage_get, &sk_storage_delete, &skb_get_xfrm_state, &skb_cgroup_classid, &skb_cgroup_id,
    &skb_ancestor_cgroup_id, &tc_sk_lookup_tcp, &tc_sk_lookup_udp, &sk_release, &tcp_sock, &get_listener_sock,
    &tc_skc_lookup_tcp, &tcp_check_syncookie, &skb_ecn_set_ce, &tcp_gen_syncookie, &sk_assign, &skb_set_tstamp,
    &tcp_raw_gen_syncookie_ipv4, &tcp_raw_gen_syncookie_ipv6, &tcp_raw_check_syncookie_ipv4,
    &tcp_raw_check_syncookie_ipv6,
};

constexpr P kXdp[] = {
    &xdp_event_output, &get_smp_processor_id, &csum_diff, &xdp_adjust_head, &xdp_adjust_meta, &xdp_redirect,
    &xdp_redirect_map, &xdp_adjust_tail, &xdp_get_buff_len, &xdp_load_bytes, &xdp_store_bytes, &xdp_fib_lookup,
    &xdp_check_mtu, &xdp_sk_lookup_udp, &xdp_sk_lookup_tcp, &sk_release, &xdp_skc_lookup_tcp, &tcp_check_syncookie,
    &tcp_gen_syncookie, &tcp_raw_gen_syncookie_ipv4, &tcp_raw_gen_syncookie_ipv6, &tcp_raw_check_syncookie_ipv4,
    &tcp_raw_check_syncookie_ipv6,
};

constexpr P kSockOps[] = {
    &sock_ops_setsockopt, &sock_ops_getsockopt, &sock_ops_cb_flags_set, &sock_map_update, &sock_hash_update,
    &get_socket_cookie_sock_ops, &event_output_data, &sk_storage_get, &sk_storage_delete, &get_netns_cookie_sock_ops,
    &sock_ops_load_hdr_opt, &sock_ops_store_hdr_opt, &sock_ops_reserve_hdr_opt, &tcp_sock,
};

constexpr P kSkMsg[] = {
    &msg_redirect_map, &msg_redirect_hash, &msg_apply_bytes, &msg_cork_bytes, &msg_pull_data, &msg_push_data,
    &msg_pop_data, &event_output_data, &get_current_uid_gid, &get_current_pid_tgid, &sk_storage_get,
    &sk_storage_delete, &get_netns_cookie_sk_msg, &get_current_cgroup_id, &get_current_ancestor_cgroup_id,
    &get_cgroup_classid_curr,
};

constexpr P kSkSkb[] = {
    &skb_store_bytes, &skb_load_bytes, &sk_skb_pull_data, &sk_skb_change_tail, &sk_skb_change_head,
    &sk_skb_adjust_room, &get_socket_cookie, &get_socket_uid, &sk_redirect_map, &sk_redirect_hash, &skb_event_output,
    &sk_lookup_tcp, &sk_lookup_udp, &sk_release, &skc_lookup_tcp,
};

constexpr P kFlowDissector[] = {&flow_dissector_load_bytes};

constexpr P kLwtOut[] = {
    &skb_load_bytes, &skb_pull_data, &csum_diff, &get_cgroup_classid, &get_route_realm, &get_hash_recalc,
    &skb_event_output, &get_smp_processor_id, &skb_under_cgroup,
};

constexpr P kLwtIn[] = {&lwt_in_push_encap};

constexpr P kLwtXmit[] = {
    &skb_get_tunnel_key, &skb_set_tunnel_key, &skb_get_tunnel_opt, &skb_set_tunnel_opt, &redirect, &clone_redirect,
    &skb_change_tail, &skb_change_head, &skb_store_bytes, &csum_update, &csum_level, &l3_csum_replace,
    &l4_csum_replace, &set_hash_invalid, &lwt_xmit_push_encap,
};

constexpr P kLwtSeg6local[] = {&lwt_seg6_store_bytes, &lwt_seg6_action, &lwt_seg6_adjust_srh};

constexpr P kSkReuseport[] = {
    &sk_select_reuseport, &sk_reuseport_load_bytes, &sk_reuseport_load_bytes_relative, &get_socket_ptr_cookie,
    &ktime_get_coarse_ns,
};

constexpr P kSkLookup[] = {&event_output_data, &sk_lookup_assign, &sk_release};

constexpr P kSkbPullData[] = {&skb_pull_data};

constexpr P kLirc[] = {
    &rc_repeat, &rc_keydown, &rc_pointer_rel, &map_lookup_elem, &map_update_elem, &map_delete_elem, &map_push_elem,
    &map_pop_elem, &map_peek_elem, &ktime_get_ns, &ktime_get_boot_ns, &tail_call, &get_prandom_u32,
};

constexpr P kTracePrintk[] = {&trace_printk};

constexpr P kTracingCommon[] = {
    &map_lookup_elem, &map_update_elem, &map_delete_elem, &map_push_elem, &map_pop_elem, &map_peek_elem,
    &map_lookup_percpu_elem, &ktime_get_ns, &ktime_get_boot_ns, &tail_call, &get_current_pid_tgid, &get_current_task,
    &get_current_task_btf, &task_pt_regs, &get_current_uid_gid, &get_current_comm, &trace_printk,
    &get_smp_processor_id, &get_numa_node_id, &perf_event_read, &current_task_under_cgroup, &get_prandom_u32,
    &probe_read_user, &probe_read_kernel, &probe_read_user_str, &probe_read_kernel_str, &probe_read_compat,
    &probe_read_compat_str, &get_current_cgroup_id, &get_current_ancestor_cgroup_id, &send_signal,
    &send_signal_thread, &perf_event_read_value, &get_ns_current_pid_tgid, &ringbuf_output, &ringbuf_reserve,
    &ringbuf_submit, &ringbuf_discard, &ringbuf_query, &jiffies64, &get_task_stack, &copy_from_user,
    &copy_from_user_task, &snprintf_btf, &per_cpu_ptr, &this_cpu_ptr, &task_storage_get, &task_storage_delete,
    &for_each_map_elem, &snprintf, &get_func_ip_tracing, &get_branch_snapshot, &find_vma, &trace_vprintk,
};

constexpr P kProbeWriteUser[] = {&probe_write_user};

constexpr P kKprobe[] = {&perf_event_output, &get_stackid, &get_stack};

constexpr P kKprobeSingle[] = {&get_func_ip_kprobe, &get_attach_cookie_trace};

constexpr P kKprobeMulti[] = {&get_func_ip_kprobe_multi, &get_attach_cookie_kmulti};

constexpr P kTracepoint[] = {
    &perf_event_output_tp, &get_stackid_tp, &get_stack_tp, &get_attach_cookie_trace,
};

constexpr P kPerfEvent[] = {
    &perf_event_output_tp, &get_stackid_pe, &get_stack_pe, &perf_prog_read_value, &read_branch_records,
    &get_attach_cookie_pe,
};

constexpr P kRawTracepoint[] = {&perf_event_output_raw_tp, &get_stackid_raw_tp, &get_stack_raw_tp};

constexpr P kTracing[] = {
    &skb_output, &xdp_output, &skc_to_tcp6_sock, &skc_to_tcp_sock, &skc_to_tcp_timewait_sock,
    &skc_to_tcp_request_sock, &skc_to_udp6_sock, &skc_to_unix_sock, &skc_to_mptcp_sock, &sk_storage_get_tracing,
    &sk_storage_delete_tracing, &sock_from_file, &get_socket_ptr_cookie, &xdp_get_buff_len_trace, &d_path,
};

constexpr P kIterator[] = {&seq_printf, &seq_write, &seq_printf_btf};

constexpr P kTrampoline[] = {
    &get_func_arg, &get_func_ret, &get_func_arg_cnt, &get_attach_cookie_tracing,
};

constexpr P kLsm[] = {
    &inode_storage_get, &inode_storage_delete, &sk_storage_get, &sk_storage_delete, &spin_lock, &spin_unlock,
    &bprm_opts_set, &ima_inode_hash, &ima_file_hash,
};

constexpr P kLsmCookie[] = {&get_attach_cookie};

constexpr P kStructOps[] = {
    &tcp_send_ack, &sk_storage_get, &sk_storage_delete, &ktime_get_coarse_ns,
};

constexpr P kSyscall[] = {&btf_find_by_name_kind, &sys_close, &kallsyms_lookup_name};

constexpr P kSysBpf[] = {&sys_bpf};
// clang-format on

// --- Conditions ----------------------------------------------------------------------------------------------------

bool never(const ProgInfo&) {
  return false;
}
bool has_bpf(const ProgInfo& prog) {
  return prog.caps.bpf || prog.caps.sys_admin;
}
bool has_perfmon(const ProgInfo& prog) {
  return prog.caps.perfmon || prog.caps.sys_admin;
}
bool has_bpf_and_perfmon(const ProgInfo& prog) {
  return has_bpf(prog) && has_perfmon(prog);
}
bool has_sys_admin(const ProgInfo& prog) {
  return prog.caps.sys_admin;
}

template <u64 kTypes>
bool attached(const ProgInfo& prog) {
  return attach_type_in(kTypes, prog.expected_attach_type);
}
template <u64 kTypes>
bool not_attached(const ProgInfo& prog) {
  return !attached<kTypes>(prog);
}

// Hooks whose result the kernel ignores have none to read or set (kernel: cgroup_common_func_proto).
constexpr u64 kWithoutResult =
    attached_as({BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS, BPF_CGROUP_SOCK_OPS, BPF_CGROUP_UDP4_RECVMSG,
                 BPF_CGROUP_UDP6_RECVMSG, BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME,
                 BPF_CGROUP_INET4_GETSOCKNAME, BPF_CGROUP_INET6_GETSOCKNAME});
constexpr u64 kConnect = attached_as({BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT});
constexpr u64 kSockAddrHooks =
    attached_as({BPF_CGROUP_INET4_BIND, BPF_CGROUP_INET6_BIND, BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT,
                 BPF_CGROUP_UDP4_RECVMSG, BPF_CGROUP_UDP6_RECVMSG, BPF_CGROUP_UDP4_SENDMSG, BPF_CGROUP_UDP6_SENDMSG,
                 BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME, BPF_CGROUP_INET4_GETSOCKNAME,
                 BPF_CGROUP_INET6_GETSOCKNAME});
constexpr u64 kSetsockopt = attached_as({BPF_CGROUP_SETSOCKOPT}), kMulti = attached_as({BPF_TRACE_KPROBE_MULTI}),
              kIter = attached_as({BPF_TRACE_ITER}), kLsmCgroup = attached_as({BPF_LSM_CGROUP});

// Kernel: bpf_prog_has_trampoline.
bool has_trampoline(const ProgInfo& prog) {
  constexpr u64 kTraced = attached_as({BPF_TRACE_FENTRY, BPF_TRACE_FEXIT, BPF_MODIFY_RETURN});
  if (prog.type == BPF_PROG_TYPE_TRACING) return attached<kTraced>(prog);
  return prog.type == BPF_PROG_TYPE_LSM && prog.expected_attach_type == BPF_LSM_MAC;
}

// Iterators over sockets may set their options (kernel: bpf_iter_tcp_get_func_proto, bpf_iter_unix_get_func_proto).
bool iterates_sockets(const ProgInfo& prog) {
  const IterTarget* target = attached<kIter>(prog) ? iter_target(prog.attach_func_name) : nullptr;
  return target && (target->features & kSetsSockets);
}

// Kernel: bpf_lsm_locked_sockopt_hooks, bpf_lsm_unlocked_sockopt_hooks.
bool socket_is_locked(const ProgInfo& prog) {
  std::string_view hook = prog.attach_func_name;
  return attached<kLsmCgroup>(prog) &&
         (hook == "bpf_lsm_sock_graft" || hook == "bpf_lsm_inet_csk_clone" || hook == "bpf_lsm_inet_conn_established");
}
bool socket_is_new(const ProgInfo& prog) {
  std::string_view hook = prog.attach_func_name;
  return attached<kLsmCgroup>(prog) && (hook == "bpf_lsm_socket_post_create" || hook == "bpf_lsm_socket_socketpair");
}

// A congestion control that is being released must not set options any more (kernel: bpf_tcp_ca_get_func_proto).
bool is_congestion_control(const ProgInfo& prog) {
  return prog.attach_btf && std::string_view(prog.attach_btf->type_name(prog.attach_btf_id)) == "tcp_congestion_ops";
}
bool not_released(const ProgInfo& prog) {
  return prog.attach_func_name != "release";
}

// --- Sets ----------------------------------------------------------------------------------------------------------

constexpr HelperGroup kBaseGroups[] = {{kBaseAny}, {kBaseBpf, has_bpf}, {kBasePerfmon, has_bpf_and_perfmon}};
constexpr HelperSet kBase{kBaseGroups};
constexpr HelperGroup kSkBaseGroups[] = {{kSkBasePerfmon, has_perfmon}, {kCoarseClock}};
constexpr HelperSet kSkBase{kSkBaseGroups, &kBase};

// What all cgroup programs have, and those that run in the task whose action they judge.
#define CGROUP_COMMON                           \
  {kCgroupStorage}, {                           \
    kCgroupRetval, not_attached<kWithoutResult> \
  }
#define CGROUP_CURRENT \
  CGROUP_COMMON, {     \
    kCgroupCurrent     \
  }

constexpr HelperGroup kCgroupDeviceGroups[] = {CGROUP_CURRENT, {kCgroupDevice}};
constexpr HelperSet kCgroupDeviceSet{kCgroupDeviceGroups, &kBase};
constexpr HelperGroup kCgroupSysctlGroups[] = {CGROUP_CURRENT, {kCgroupSysctl}};
constexpr HelperSet kCgroupSysctlSet{kCgroupSysctlGroups, &kBase};
constexpr HelperGroup kCgroupSockoptGroups[] = {
    CGROUP_CURRENT, {kCgroupSockopt}, {kSocketOptions, attached<kSetsockopt>}};
constexpr HelperSet kCgroupSockoptSet{kCgroupSockoptGroups, &kBase};
constexpr HelperGroup kCgroupSockGroups[] = {CGROUP_CURRENT, {kCgroupSock}};
constexpr HelperSet kCgroupSockSet{kCgroupSockGroups, &kBase};
constexpr HelperGroup kCgroupSockAddrGroups[] = {
    CGROUP_CURRENT, {kCgroupSockAddr}, {kBind, attached<kConnect>}, {kSockAddrOptions, attached<kSockAddrHooks>}};
constexpr HelperSet kCgroupSockAddrSet{kCgroupSockAddrGroups, &kSkBase};
constexpr HelperGroup kSockOpsGroups[] = {CGROUP_COMMON, {kSockOps}};
constexpr HelperSet kSockOpsSet{kSockOpsGroups, &kSkBase};

constexpr HelperGroup kSocketFilterGroups[] = {{kSocketFilter}};
constexpr HelperSet kSocketFilterSet{kSocketFilterGroups, &kSkBase};
constexpr HelperGroup kCgroupSkbGroups[] = {CGROUP_COMMON, {kCgroupSkb}};
constexpr HelperSet kCgroupSkbSet{kCgroupSkbGroups, &kSocketFilterSet};
constexpr HelperGroup kSchedGroups[] = {{kSched}};
constexpr HelperSet kSchedSet{kSchedGroups, &kSkBase};
constexpr HelperGroup kXdpGroups[] = {{kXdp}};
constexpr HelperSet kXdpSet{kXdpGroups, &kSkBase};
constexpr HelperGroup kSkMsgGroups[] = {{kSkMsg}};
constexpr HelperSet kSkMsgSet{kSkMsgGroups, &kSkBase};
constexpr HelperGroup kSkSkbGroups[] = {{kSkSkb}};
constexpr HelperSet kSkSkbSet{kSkSkbGroups, &kSkBase};
constexpr HelperGroup kFlowDissectorGroups[] = {{kFlowDissector}};
constexpr HelperSet kFlowDissectorSet{kFlowDissectorGroups, &kSkBase};
constexpr HelperGroup kLwtOutGroups[] = {{kLwtOut}};
constexpr HelperSet kLwtOutSet{kLwtOutGroups, &kSkBase};
constexpr HelperGroup kLwtInGroups[] = {{kLwtIn}};
constexpr HelperSet kLwtInSet{kLwtInGroups, &kLwtOutSet};
constexpr HelperGroup kLwtXmitGroups[] = {{kLwtXmit}};
constexpr HelperSet kLwtXmitSet{kLwtXmitGroups, &kLwtOutSet};
constexpr HelperGroup kLwtSeg6localGroups[] = {{kLwtSeg6local}, {kSkbPullData, never}};
constexpr HelperSet kLwtSeg6localSet{kLwtSeg6localGroups, &kLwtOutSet};
constexpr HelperGroup kSkReuseportGroups[] = {{kSkReuseport}};
constexpr HelperSet kSkReuseportSet{kSkReuseportGroups, &kBase};
constexpr HelperGroup kSkLookupGroups[] = {{kSkLookup}};
constexpr HelperSet kSkLookupSet{kSkLookupGroups, &kSkBase};
constexpr HelperGroup kLircGroups[] = {{kLirc}, {kTracePrintk, has_perfmon}};
constexpr HelperSet kLircSet{kLircGroups};

constexpr HelperGroup kTracingCommonGroups[] = {{kTracingCommon}, {kProbeWriteUser, has_sys_admin}};
constexpr HelperSet kTracingCommonSet{kTracingCommonGroups, &kBase};
constexpr HelperGroup kKprobeGroups[] = {
    {kKprobe}, {kKprobeMulti, attached<kMulti>}, {kKprobeSingle, not_attached<kMulti>}};
constexpr HelperSet kKprobeSet{kKprobeGroups, &kTracingCommonSet};
constexpr HelperGroup kTracepointGroups[] = {{kTracepoint}};
constexpr HelperSet kTracepointSet{kTracepointGroups, &kTracingCommonSet};
constexpr HelperGroup kPerfEventGroups[] = {{kPerfEvent}};
constexpr HelperSet kPerfEventSet{kPerfEventGroups, &kTracingCommonSet};
constexpr HelperGroup kRawTracepointGroups[] = {{kRawTracepoint}};
constexpr HelperSet kRawTracepointSet{kRawTracepointGroups, &kTracingCommonSet};
constexpr HelperGroup kTracingGroups[] = {
    {kTracing}, {kIterator, attached<kIter>}, {kTrampoline, has_trampoline}, {kSocketOptions, iterates_sockets}};
constexpr HelperSet kTracingSet{kTracingGroups, &kRawTracepointSet};
constexpr HelperGroup kLsmGroups[] = {{kCgroupStorage, attached<kLsmCgroup>},
                                      {kCgroupRetval, attached<kLsmCgroup>},
                                      {kLsm},
                                      {kLsmCookie, has_trampoline},
                                      {kSocketOptions, socket_is_locked},
                                      {kUnlockedSocketOptions, socket_is_new}};
constexpr HelperSet kLsmSet{kLsmGroups, &kTracingSet};
constexpr HelperGroup kSyscallGroups[] = {{kSyscall}, {kSysBpf, has_perfmon}};
constexpr HelperSet kSyscallSet{kSyscallGroups, &kTracingSet};
constexpr HelperGroup kStructOpsGroups[] = {{kStructOps}, {kSocketOptions, not_released}};
constexpr HelperSet kStructOpsSet{kStructOpsGroups, &kBase};

}  // namespace

const HelperProto* HelperSet::find(u32 id, const ProgInfo& prog) const {
  bool listed = false;
  for (const HelperGroup& group : groups) {
    for (const HelperProto* proto : group.protos) {
      if (proto->id != id) continue;
      if (!group.when || group.when(prog)) return proto;
      listed = true;
    }
  }
  return base && !listed ? base->find(id, prog) : nullptr;
}

#define HELPERS_OF(function, set)                             \
  const HelperProto* function(u32 id, const ProgInfo& prog) { \
    return set.find(id, prog);                                \
  }
HELPERS_OF(base_helpers, kBase)
HELPERS_OF(socket_filter_helpers, kSocketFilterSet)
HELPERS_OF(cgroup_skb_helpers, kCgroupSkbSet)
HELPERS_OF(sched_helpers, kSchedSet)
HELPERS_OF(xdp_helpers, kXdpSet)
HELPERS_OF(cgroup_sock_helpers, kCgroupSockSet)
HELPERS_OF(cgroup_sock_addr_helpers, kCgroupSockAddrSet)
HELPERS_OF(sock_ops_helpers, kSockOpsSet)
HELPERS_OF(sk_skb_helpers, kSkSkbSet)
HELPERS_OF(sk_msg_helpers, kSkMsgSet)
HELPERS_OF(flow_dissector_helpers, kFlowDissectorSet)
HELPERS_OF(lwt_in_helpers, kLwtInSet)
HELPERS_OF(lwt_out_helpers, kLwtOutSet)
HELPERS_OF(lwt_xmit_helpers, kLwtXmitSet)
HELPERS_OF(lwt_seg6local_helpers, kLwtSeg6localSet)
HELPERS_OF(cgroup_device_helpers, kCgroupDeviceSet)
HELPERS_OF(cgroup_sysctl_helpers, kCgroupSysctlSet)
HELPERS_OF(cgroup_sockopt_helpers, kCgroupSockoptSet)
HELPERS_OF(sk_reuseport_helpers, kSkReuseportSet)
HELPERS_OF(sk_lookup_helpers, kSkLookupSet)
HELPERS_OF(lirc_helpers, kLircSet)
HELPERS_OF(kprobe_helpers, kKprobeSet)
HELPERS_OF(tracepoint_helpers, kTracepointSet)
HELPERS_OF(perf_event_helpers, kPerfEventSet)
HELPERS_OF(raw_tracepoint_helpers, kRawTracepointSet)
HELPERS_OF(tracing_helpers, kTracingSet)
HELPERS_OF(lsm_helpers, kLsmSet)
HELPERS_OF(syscall_helpers, kSyscallSet)

// bpf_dummy_ops, the other struct, allows no calls.
const HelperProto* struct_ops_helpers(u32 id, const ProgInfo& prog) {
  return is_congestion_control(prog) ? kStructOpsSet.find(id, prog) : nullptr;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/verifier/show_fields.h"

#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>

#include <span>

#include "emu/runtime/packet_programs.h"
#include "emu/verifier/ctx_fields.h"

namespace bpfemu {
namespace {

#define SKB(name) CTX_FIELD(__sk_buff, name)
#define OWN(path, size) {{"sk_buff", path, size}}
#define CB(object, path, size) {{"sk_buff", "cb", size, object, path}}
#define SOCKET(path, size) {{"sk_buff", "sk", 8}, {"sock_common", path, size}}
#define SHARED(path, size) {{"skb_shared_info", path, size}}

constexpr KernelField kSkb[] = {
    {SKB(len), 4, OWN("len", 4)},
    {SKB(pkt_type), 1, OWN("__pkt_type_offset", 1), Then::kPacketType},
    {SKB(mark), 4, OWN("mark", 4)},
    {SKB(queue_mapping), 2, OWN("queue_mapping", 2), Then::kQueue},
    {SKB(protocol), 2, OWN("protocol", 2)},
    {SKB(vlan_present), 1, OWN("__pkt_vlan_present_offset", 1), Then::kLowBit},
    {SKB(vlan_tci), 2, OWN("vlan_tci", 2)},
    {SKB(vlan_proto), 2, OWN("vlan_proto", 2)},
    {SKB(priority), 4, OWN("priority", 4)},
    {SKB(ingress_ifindex), 4, OWN("skb_iif", 4)},
    {SKB(ifindex), 4, {{"sk_buff", "dev", 8}, {"net_device", "ifindex", 4}}, Then::kIfDevice},
    {SKB(tc_index), 2, OWN("tc_index", 2)},
    {SKB(cb), 0, CB("qdisc_skb_cb", "data", 0), Then::kNothing, true},
    {SKB(hash), 4, OWN("hash", 4)},
    {SKB(tc_classid), 2, CB("qdisc_skb_cb", "tc_classid", 2)},
    {SKB(data), 0, OWN("data", 8)},
    {SKB(data_end), 0, CB("bpf_skb_data_end", "data_end", 8)},
    {SKB(napi_id), 4, OWN("napi_id", 4), Then::kNapi},
    {SKB(family), 2, SOCKET("skc_family", 2)},
    {SKB(remote_ip4), 4, SOCKET("skc_daddr", 4)},
    {SKB(local_ip4), 4, SOCKET("skc_rcv_saddr", 4)},
    {SKB(remote_ip6), 0, SOCKET("skc_v6_daddr", 4), Then::kNothing, true},
    {SKB(local_ip6), 0, SOCKET("skc_v6_rcv_saddr", 4), Then::kNothing, true},
    {SKB(remote_port), 2, SOCKET("skc_dport", 2), Then::kUpperHalf},
    {SKB(local_port), 2, SOCKET("skc_num", 2)},
    {SKB(data_meta), 0, CB("bpf_skb_data_end", "data_meta", 8)},
    {SKB(wire_len), 4, CB("qdisc_skb_cb", "pkt_len", 4)},
    {SKB(gso_segs), 2, SHARED("gso_segs", 2), Then::kShared},
    {SKB(gso_size), 2, SHARED("gso_size", 2), Then::kShared},
    {SKB(hwtstamp), 8, SHARED("hwtstamps", 8), Then::kShared},
    {SKB(sk), 0, OWN("sk", 8)},
};

#define XDP(name) CTX_FIELD(xdp_md, name)
constexpr KernelField kXdp[] = {
    {XDP(data), 0, {{"xdp_buff", "data", 8}}},
    {XDP(data_end), 0, {{"xdp_buff", "data_end", 8}}},
    {XDP(data_meta), 0, {{"xdp_buff", "data_meta", 8}}},
    {XDP(ingress_ifindex), 0, {{"xdp_buff", "rxq", 8}, {"xdp_rxq_info", "dev", 8}, {"net_device", "ifindex", 4}}},
    {XDP(rx_queue_index), 0, {{"xdp_buff", "rxq", 8}, {"xdp_rxq_info", "queue_index", 4}}},
    {XDP(egress_ifindex), 0, {{"xdp_buff", "txq", 8}, {"xdp_txq_info", "dev", 8}, {"net_device", "ifindex", 4}}},
};

#define PERF(name) CTX_FIELD(bpf_perf_event_data, name)
#define SAMPLE(path) {{"bpf_perf_event_data_kern", "data", 8}, {"perf_sample_data", path, 8}}
constexpr KernelField kPerfEvent[] = {
    {PERF(regs), 0, {{"bpf_perf_event_data_kern", "regs", 8}, {"pt_regs", "r15", 8}}, Then::kNothing, true},
    {PERF(sample_period), 8, SAMPLE("period")},
    {PERF(addr), 8, SAMPLE("addr")},
};

#define SOCK(name) CTX_FIELD(bpf_sock, name)
#define COMMON(path, size) {{"sock_common", path, size}}
constexpr KernelField kSock[] = {
    {SOCK(bound_dev_if), 0, {{"sock", "__sk_common.skc_bound_dev_if", 4}}},
    {SOCK(family), 2, COMMON("skc_family", 2)},
    {SOCK(type), 2, {{"sock", "sk_type", 2}}},
    {SOCK(protocol), 2, {{"sock", "sk_protocol", 2}}},
    {SOCK(mark), 0, {{"sock", "sk_mark", 4}}},
    {SOCK(priority), 0, {{"sock", "sk_priority", 4}}},
    {SOCK(src_ip4), 4, COMMON("skc_rcv_saddr", 0)},
    {SOCK(src_ip6), 4, COMMON("skc_v6_rcv_saddr", 0), Then::kNothing, true},
    {SOCK(src_port), 2, COMMON("skc_num", 2)},
    {SOCK(dst_port), 2, COMMON("skc_dport", 2)},
    {SOCK(dst_ip4), 4, COMMON("skc_daddr", 0)},
    {SOCK(dst_ip6), 4, COMMON("skc_v6_daddr", 0), Then::kNothing, true},
    {SOCK(state), 1, COMMON("skc_state", 1)},
    {SOCK(rx_queue_mapping), 4, COMMON("skc_rx_queue_mapping", 2), Then::kRxQueue},
};

#define MESSAGE(name) CTX_FIELD(sk_msg_md, name)
#define OF_SENDER(path, size) {{"sk_msg", "sk", 8}, {"sock_common", path, size}}
constexpr KernelField kSkMsg[] = {
    {MESSAGE(data), 0, {{"sk_msg", "data", 8}}},
    {MESSAGE(data_end), 0, {{"sk_msg", "data_end", 8}}},
    {MESSAGE(family), 0, OF_SENDER("skc_family", 2)},
    {MESSAGE(remote_ip4), 0, OF_SENDER("skc_daddr", 4)},
    {MESSAGE(local_ip4), 0, OF_SENDER("skc_rcv_saddr", 4)},
    {MESSAGE(remote_ip6), 0, OF_SENDER("skc_v6_daddr", 4), Then::kNothing, true},
    {MESSAGE(local_ip6), 0, OF_SENDER("skc_v6_rcv_saddr", 4), Then::kNothing, true},
    {MESSAGE(remote_port), 0, OF_SENDER("skc_dport", 2), Then::kUpperHalf},
    {MESSAGE(local_port), 0, OF_SENDER("skc_num", 2)},
    {MESSAGE(size), 0, {{"sk_msg", "sg.size", 4}}},
    {MESSAGE(sk), 0, {{"sk_msg", "sk", 8}}},
};

#define CHOICE(name) CTX_FIELD(sk_reuseport_md, name)
#define OF_CHOICE(path, size) {{"sk_reuseport_kern", path, size}}
#define OF_PACKET(path, size) {{"sk_reuseport_kern", "skb", 8}, {"sk_buff", path, size}}
constexpr KernelField kSkReuseport[] = {
    {CHOICE(data), 8, OF_PACKET("data", 8)},
    {CHOICE(data_end), 8, OF_CHOICE("data_end", 8)},
    {CHOICE(len), 4, OF_PACKET("len", 4)},
    {CHOICE(eth_protocol), 2, OF_PACKET("protocol", 2)},
    {CHOICE(ip_protocol), 2, {{"sk_reuseport_kern", "sk", 8}, {"sock", "sk_protocol", 2}}},
    {CHOICE(bind_inany), 1, OF_CHOICE("bind_inany", 1)},
    {CHOICE(hash), 4, OF_CHOICE("hash", 4)},
    {CHOICE(sk), 8, OF_CHOICE("sk", 8)},
    {CHOICE(migrating_sk), 8, OF_CHOICE("migrating_sk", 8)},
};

#define LOOKUP(name) CTX_FIELD(bpf_sk_lookup, name)
#define OF_LOOKUP(path, size) {{"bpf_sk_lookup_kern", path, size}}
#define ADDRESS(path) {{"bpf_sk_lookup_kern", path, 8}, {"in6_addr", "in6_u", 4}}
constexpr KernelField kSkLookup[] = {
    {LOOKUP(sk), 8, OF_LOOKUP("selected_sk", 8)},
    {LOOKUP(family), 2, OF_LOOKUP("family", 2)},
    {LOOKUP(protocol), 2, OF_LOOKUP("protocol", 2)},
    {LOOKUP(remote_ip4), 4, OF_LOOKUP("v4.saddr", 4)},
    {LOOKUP(remote_ip6), 4, ADDRESS("v6.saddr"), Then::kIfThere, true},
    {LOOKUP(remote_port), 2, OF_LOOKUP("sport", 2)},
    {offsetof(bpf_sk_lookup, remote_port) + 2, offsetof(bpf_sk_lookup, local_ip4), 2, {}, Then::kZero},  // padding
    {LOOKUP(local_ip4), 4, OF_LOOKUP("v4.daddr", 4)},
    {LOOKUP(local_ip6), 4, ADDRESS("v6.daddr"), Then::kIfThere, true},
    {LOOKUP(local_port), 2, OF_LOOKUP("dport", 2)},
    {LOOKUP(ingress_ifindex), 4, OF_LOOKUP("ingress_ifindex", 4)},
};

#define OF_FLOW(path) {{"bpf_flow_dissector", path, 8}}
constexpr KernelField kFlowDissector[] = {
    {SKB(data), 0, OF_FLOW("data")},
    {SKB(data_end), 0, OF_FLOW("data_end")},
    {SKB(flow_keys), 0, OF_FLOW("flow_keys")},
};

// A parser's own part of cb, and a data_end that is calculated; all else as kSkb has it.
constexpr KernelField kSkSkb[] = {
    {SKB(cb), 0, CB("sk_skb_cb", "data", 0), Then::kNothing, true},
    {SKB(data_end), 0, OWN("data", 8), Then::kLinearEnd},
};

#define ADDR(name) CTX_FIELD(bpf_sock_addr, name)
#define OF_NAME(object, path, size) {{"bpf_sock_addr_kern", "uaddr", 8}, {object, path, size}}
#define OF_SOURCE(object, path) {{"bpf_sock_addr_kern", "t_ctx", 8}, {object, path, 0}}
#define OF_CALLER(path, size) {{"bpf_sock_addr_kern", "sk", 8}, {"sock", path, size}}
constexpr KernelField kSockAddr[] = {
    {ADDR(user_family), 0, OF_NAME("sockaddr", "sa_family", 2)},
    {ADDR(user_ip4), 4, OF_NAME("sockaddr_in", "sin_addr", 0)},
    {ADDR(user_ip6), 4, OF_NAME("sockaddr_in6", "sin6_addr", 0), Then::kNothing, true},
    {ADDR(user_port), 2, OF_NAME("sockaddr_in6", "sin6_port", 2)},
    {ADDR(family), 0, OF_CALLER("__sk_common.skc_family", 2)},
    {ADDR(type), 0, OF_CALLER("sk_type", 2)},
    {ADDR(protocol), 0, OF_CALLER("sk_protocol", 2)},
    {ADDR(msg_src_ip4), 4, OF_SOURCE("in_addr", "s_addr")},
    {ADDR(msg_src_ip6), 4, OF_SOURCE("in6_addr", "in6_u"), Then::kNothing, true},
    {ADDR(sk), 0, {{"bpf_sock_addr_kern", "sk", 8}}},
};

#define OPS(name) CTX_FIELD(bpf_sock_ops, name)
#define OF_OPS(path, size) {{"bpf_sock_ops_kern", path, size}}
#define OF_ENDPOINT(path, size) {{"bpf_sock_ops_kern", "sk", 8}, {"sock_common", path, size}}
#define OF_SEGMENT(path, size) {{"bpf_sock_ops_kern", "skb", 8}, {"sk_buff", path, size}}
#define OF_TCP(name, size) OPS(name), 0, {{"bpf_sock_ops_kern", "sk", 8}, {"tcp_sock", #name, size}}, Then::kFullSocket
constexpr KernelField kSockOps[] = {
    {OPS(op), 0, OF_OPS("op", 1)},
    {OPS(replylong), 0, OF_OPS("replylong", 4), Then::kNothing, true},
    {OPS(family), 0, OF_ENDPOINT("skc_family", 2)},
    {OPS(remote_ip4), 0, OF_ENDPOINT("skc_daddr", 4)},
    {OPS(local_ip4), 0, OF_ENDPOINT("skc_rcv_saddr", 4)},
    {OPS(remote_ip6), 0, OF_ENDPOINT("skc_v6_daddr", 4), Then::kNothing, true},
    {OPS(local_ip6), 0, OF_ENDPOINT("skc_v6_rcv_saddr", 4), Then::kNothing, true},
    {OPS(remote_port), 0, OF_ENDPOINT("skc_dport", 2), Then::kUpperHalf},
    {OPS(local_port), 0, OF_ENDPOINT("skc_num", 2)},
    {OPS(is_fullsock), 0, OF_OPS("is_fullsock", 1)},
    {OF_TCP(snd_cwnd, 4)},
    {OF_TCP(srtt_us, 4)},
    {OF_TCP(bpf_sock_ops_cb_flags, 1)},
    {OPS(state), 0, OF_ENDPOINT("skc_state", 1)},
    {OPS(rtt_min), 0, {{"bpf_sock_ops_kern", "sk", 8}, {"tcp_sock", "rtt_min", 4, "minmax_sample", "v"}}, Then::kFullSocket},
    {OF_TCP(snd_ssthresh, 4)},
    {OF_TCP(rcv_nxt, 4)},
    {OF_TCP(snd_nxt, 4)},
    {OF_TCP(snd_una, 4)},
    {OF_TCP(mss_cache, 4)},
    {OF_TCP(ecn_flags, 1)},
    {OF_TCP(rate_delivered, 4)},
    {OF_TCP(rate_interval_us, 4)},
    {OF_TCP(packets_out, 4)},
    {OF_TCP(retrans_out, 4)},
    {OF_TCP(total_retrans, 4)},
    {OF_TCP(segs_in, 4)},
    {OF_TCP(data_segs_in, 4)},
    {OF_TCP(segs_out, 4)},
    {OF_TCP(data_segs_out, 4)},
    {OF_TCP(lost_out, 4)},
    {OF_TCP(sacked_out, 4)},
    {OPS(sk_txhash), 0, {{"bpf_sock_ops_kern", "sk", 8}, {"sock", "sk_txhash", 4}}, Then::kFullSocket},
    {OF_TCP(bytes_received, 8)},
    {OF_TCP(bytes_acked, 8)},
    {OPS(sk), 0, OF_OPS("sk", 8), Then::kFullSocket},
    {OPS(skb_data), 0, OF_SEGMENT("data", 8), Then::kIfThere},
    {OPS(skb_data_end), 0, OF_OPS("skb_data_end", 8)},
    {OPS(skb_len), 0, OF_SEGMENT("len", 4), Then::kIfThere},
    {OPS(skb_tcp_flags), 1, {{"bpf_sock_ops_kern", "skb", 8}, {"sk_buff", "cb", 1, "tcp_skb_cb", "tcp_flags"}}, Then::kIfThere},
};

#define TCP(name, size) CTX_FIELD(bpf_tcp_sock, name), 0, {{"tcp_sock", #name, size}}
constexpr KernelField kTcpSock[] = {
    {TCP(snd_cwnd, 4)},
    {TCP(srtt_us, 4)},
    {CTX_FIELD(bpf_tcp_sock, rtt_min), 0, {{"tcp_sock", "rtt_min", 4, "minmax_sample", "v"}}},
    {TCP(snd_ssthresh, 4)},
    {TCP(rcv_nxt, 4)},
    {TCP(snd_nxt, 4)},
    {TCP(snd_una, 4)},
    {TCP(mss_cache, 4)},
    {TCP(ecn_flags, 1)},
    {TCP(rate_delivered, 4)},
    {TCP(rate_interval_us, 4)},
    {TCP(packets_out, 4)},
    {TCP(retrans_out, 4)},
    {TCP(total_retrans, 4)},
    {TCP(segs_in, 4)},
    {TCP(data_segs_in, 4)},
    {TCP(segs_out, 4)},
    {TCP(data_segs_out, 4)},
    {TCP(lost_out, 4)},
    {TCP(sacked_out, 4)},
    {TCP(bytes_received, 8)},
    {TCP(bytes_acked, 8)},
    {TCP(dsack_dups, 4)},
    {TCP(delivered, 4)},
    {TCP(delivered_ce, 4)},
    {CTX_FIELD(bpf_tcp_sock, icsk_retransmits), 0, {{"inet_connection_sock", "icsk_retransmits", 1}}},
};

constexpr KernelField kXdpSock[] = {{CTX_FIELD(bpf_xdp_sock, queue_id), 0, {{"xdp_sock", "queue_id", 2}}}};

constexpr KernelField kSysctl[] = {
    {CTX_FIELD(bpf_sysctl, write), 4, {{"bpf_sysctl_kern", "write", 0}}},
    {CTX_FIELD(bpf_sysctl, file_pos), 4, {{"bpf_sysctl_kern", "ppos", 8}, {"loff_t", nullptr, 0}}},
};

#define OPTION(name, size) CTX_FIELD(bpf_sockopt, name), 0, {{"bpf_sockopt_kern", #name, size}}
constexpr KernelField kSockopt[] = {
    {OPTION(sk, 8)},
    {OPTION(optval, 8)},
    {OPTION(optval_end, 8)},
    {OPTION(level, 4)},
    {OPTION(optname, 4)},
    {OPTION(optlen, 4)},
    {CTX_FIELD(bpf_sockopt, retval),
     0,
     {{"bpf_sockopt_kern", "current_task", 8}, {"task_struct", "bpf_ctx", 8}, {"bpf_cg_run_ctx", "retval", 4}}},
};

#undef SKB
#undef OWN
#undef CB
#undef SOCKET
#undef SHARED
#undef XDP
#undef PERF
#undef SAMPLE
#undef SOCK
#undef COMMON
#undef MESSAGE
#undef OF_SENDER
#undef CHOICE
#undef OF_CHOICE
#undef OF_PACKET
#undef LOOKUP
#undef OF_LOOKUP
#undef ADDRESS
#undef OF_FLOW
#undef ADDR
#undef OF_NAME
#undef OF_SOURCE
#undef OF_CALLER
#undef OPS
#undef OF_OPS
#undef OF_ENDPOINT
#undef OF_SEGMENT
#undef OF_TCP
#undef TCP
#undef OPTION

// Of what a pointer of that type leads to, in a program of this one.
std::span<const KernelField> fields(RegType pointer, u32 type) {
  if (pointer == kPtrToSocket || pointer == kPtrToSockCommon) return kSock;
  if (pointer == kPtrToTcpSock) return kTcpSock;
  if (pointer == kPtrToXdpSock) return kXdpSock;
  if (pointer != kPtrToCtx) return {};
  if (is_packet_program(type)) return kSkb;
  switch (type) {
    case BPF_PROG_TYPE_XDP: return kXdp;
    case BPF_PROG_TYPE_PERF_EVENT: return kPerfEvent;
    case BPF_PROG_TYPE_CGROUP_SOCK: return kSock;
    case BPF_PROG_TYPE_CGROUP_SOCK_ADDR: return kSockAddr;
    case BPF_PROG_TYPE_CGROUP_SYSCTL: return kSysctl;
    case BPF_PROG_TYPE_CGROUP_SOCKOPT: return kSockopt;
    case BPF_PROG_TYPE_SOCK_OPS: return kSockOps;
    case BPF_PROG_TYPE_SK_MSG: return kSkMsg;
    case BPF_PROG_TYPE_SK_REUSEPORT: return kSkReuseport;
    case BPF_PROG_TYPE_SK_LOOKUP: return kSkLookup;
    case BPF_PROG_TYPE_FLOW_DISSECTOR: return kFlowDissector;
    default: return {};
  }
}

}  // namespace

const KernelField* kernel_field(RegType pointer, u32 prog_type, int offset) {
  if (pointer == kPtrToCtx && prog_type == BPF_PROG_TYPE_SK_SKB) {
    if (const KernelField* field = field_at<KernelField>(kSkSkb, offset)) return field;
  }
  return field_at(fields(pointer, prog_type), offset);
}

const Hop* register_room(u32 prog_type) {
  static constexpr Hop addr{"bpf_sock_addr_kern", "tmp_reg", 8}, ops{"bpf_sock_ops_kern", "temp", 8},
      sysctl{"bpf_sysctl_kern", "tmp_reg", 8}, sockopt{"bpf_sockopt_kern", "tmp_reg", 8},
      skb{"sk_buff", "cb", 8, "sk_skb_cb", "temp_reg"};
  switch (prog_type) {
    case BPF_PROG_TYPE_CGROUP_SOCK_ADDR: return &addr;
    case BPF_PROG_TYPE_SOCK_OPS: return &ops;
    case BPF_PROG_TYPE_CGROUP_SYSCTL: return &sysctl;
    case BPF_PROG_TYPE_CGROUP_SOCKOPT: return &sockopt;
    case BPF_PROG_TYPE_SK_SKB: return &skb;
    default: return nullptr;
  }
}

}  // namespace bpfemu

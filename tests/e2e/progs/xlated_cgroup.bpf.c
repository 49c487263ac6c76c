// SPDX-License-Identifier: Apache-2.0
// Accesses to contexts that are not in xlated and xlated_sockets, above all of programs of cgroups, for xlated:
// xlated_cgroup-6.1.txt is what bpftool printed of them on a real 6.1.
#include <linux/bpf.h>
#include <stddef.h>

#include <bpf/bpf_helpers.h>

long seen;

// A load into the register that leads to the context, which is another case to the kernel.
#define LOAD_OVER(context, type, size, member)                                       \
  ({                                                                                 \
    long over;                                                                       \
    asm volatile("%0 = %1; %0 = *(" size "*)(%0 + %2)"                               \
                 : "=&r"(over)                                                       \
                 : "r"(context), "i"(offsetof(struct type, member)));                \
    over;                                                                            \
  })

SEC("cgroup/bind4") int bind_four(struct bpf_sock_addr* context) {
  seen = context->user_family + context->user_ip4 + context->user_port + context->family + context->type + context->protocol;
  int part;
  asm volatile("%0 = *(u8 *)(%1 + 5)" : "=r"(part) : "r"(context));  // of user_ip4
  seen += part;
  asm volatile("%0 = *(u8 *)(%1 + 24)" : "=r"(part) : "r"(context));  // of user_port
  seen += part;
  context->user_ip4 = seen;
  context->user_port = 3;
  return context->sk->family != 0;
}

SEC("cgroup/connect6") int connect_six(struct bpf_sock_addr* context) {
  seen = context->user_ip6[0] + context->user_ip6[3] + *(__u64*)&context->user_ip6[2];
  context->user_ip6[1] = seen;
  return 1;
}

SEC("cgroup/sendmsg4") int send_four(struct bpf_sock_addr* context) {
  seen = context->msg_src_ip4;
  context->msg_src_ip4 = 5;
  return 1;
}

SEC("cgroup/sendmsg6") int send_six(struct bpf_sock_addr* context) {
  seen = context->msg_src_ip6[1];
  context->msg_src_ip6[3] = 5;
  return 1;
}

SEC("sockops") int operations(struct bpf_sock_ops* context) {
  seen = context->op + context->args[2] + context->family + context->remote_ip4 + context->local_ip4 + context->remote_ip6[1] +
         context->local_ip6[3] + context->remote_port + context->local_port + context->is_fullsock + context->state;
  context->reply = seen;
  context->sk_txhash = 4;
  return 1;
}

SEC("sockops") int counters(struct bpf_sock_ops* context) {
  seen = context->snd_cwnd + context->srtt_us + context->bpf_sock_ops_cb_flags + context->rtt_min + context->snd_ssthresh +
         context->rcv_nxt + context->snd_nxt + context->snd_una + context->mss_cache + context->ecn_flags +
         context->rate_delivered + context->rate_interval_us + context->packets_out + context->retrans_out +
         context->total_retrans + context->segs_in + context->data_segs_in + context->segs_out + context->data_segs_out +
         context->lost_out + context->sacked_out + context->sk_txhash + context->bytes_received + context->bytes_acked;
  seen += LOAD_OVER(context, bpf_sock_ops, "u32", snd_cwnd) + LOAD_OVER(context, bpf_sock_ops, "u64", bytes_acked);
  return 1;
}

SEC("sockops") int segment(struct bpf_sock_ops* context) {
  char *data = context->skb_data, *end = context->skb_data_end;
  seen = context->skb_len + context->skb_tcp_flags;
  int part;
  asm volatile("%0 = *(u8 *)(%1 + 212)" : "=r"(part) : "r"(context));  // of skb_tcp_flags
  seen += part;
  if (data + 1 <= end) seen += data[0];
  struct bpf_sock* sock = context->sk;
  if (!sock) return 1;
  struct bpf_tcp_sock* tcp = bpf_tcp_sock(sock);
  if (!tcp) return 1;
  seen += tcp->snd_cwnd + tcp->rtt_min + tcp->ecn_flags + tcp->bytes_received + tcp->dsack_dups + tcp->delivered +
          tcp->delivered_ce + tcp->icsk_retransmits;
  asm volatile("%0 = %1; %0 = *(u64 *)(%0 + 184)" : "=&r"(sock) : "r"(context));  // sk
  return 1;
}

SEC("cgroup/sysctl") int setting(struct bpf_sysctl* context) {
  seen = context->write + context->file_pos;
  int part;
  asm volatile("%0 = *(u8 *)(%1 + 5)" : "=r"(part) : "r"(context));  // of file_pos
  seen += part;
  asm volatile("%0 = *(u16 *)(%1 + 2)" : "=r"(part) : "r"(context));  // of write
  seen += part;
  context->file_pos = 1;
  return 1;
}

SEC("cgroup/getsockopt") int get_option(struct bpf_sockopt* context) {
  char *value = context->optval, *end = context->optval_end;
  seen = context->level + context->optname + context->optlen + context->retval;
  if (value + 1 <= end) seen += value[0];
  context->retval = 0;
  return context->sk->family != 0;
}

SEC("cgroup/setsockopt") int set_option(struct bpf_sockopt* context) {
  context->level = 1;
  asm volatile("" ::: "memory");  // a store each
  context->optname = 2;
  asm volatile("" ::: "memory");
  context->optlen = 3;
  return 1;
}

SEC("cgroup/dev") int device(struct bpf_cgroup_dev_ctx* context) {
  seen = context->access_type + context->major + context->minor;
  int part;
  asm volatile("%0 = *(u16 *)(%1 + 2)" : "=r"(part) : "r"(context));  // of access_type
  seen += part;
  return 1;
}

SEC("sk_skb/stream_verdict") int verdict(struct __sk_buff* context) {
  char *data = (char*)(long)context->data, *end = (char*)(long)context->data_end;
  seen = context->len + context->cb[1] + context->priority + context->local_port + context->remote_ip4;
  context->priority = 4;
  context->tc_index = 5;
  if (data + 1 <= end) data[0] = 1;
  end = (char*)LOAD_OVER(context, __sk_buff, "u32", data_end);
  return SK_PASS;
}

SEC("sk_skb/stream_parser") int parser(struct __sk_buff* context) { return context->len; }

SEC("sk_lookup") int padding(struct bpf_sk_lookup* context) {
  int part;
  asm volatile("%0 = *(u16 *)(%1 + 38)" : "=r"(part) : "r"(context));  // beyond remote_port
  seen = part;
  asm volatile("%0 = *(u8 *)(%1 + 39)" : "=r"(part) : "r"(context));
  seen += part;
  asm volatile("%0 = *(u8 *)(%1 + 37)" : "=r"(part) : "r"(context));
  seen += part;
  asm volatile("%0 = *(u32 *)(%1 + 36)" : "=r"(part) : "r"(context));
  seen += part;
  return SK_PASS;
}

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 4);
  __type(key, int);
  __type(value, int);
} queues SEC(".maps");

SEC("xdp") int queue(struct xdp_md* context) {
  int key = 1;
  struct bpf_xdp_sock* sock = bpf_map_lookup_elem(&queues, &key);
  return sock && sock->queue_id ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";

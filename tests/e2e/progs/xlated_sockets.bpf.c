// SPDX-License-Identifier: Apache-2.0
// Accesses to sockets and to the contexts of programs about them, for xlated: xlated_sockets-6.1.txt is what bpftool printed of
// them on a real 6.1.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

long seen;

SEC("cgroup/sock_create") int sock(struct bpf_sock* context) {
  seen = context->family + context->type + context->protocol + context->mark;
  context->mark = seen;
  context->priority = 3;
  context->bound_dev_if = 1;
  return context->bound_dev_if ? 0 : 1;
}

SEC("cgroup/post_bind4") int bound(struct bpf_sock* context) {
  seen = context->src_ip4 + context->src_port;
  int part;
  asm volatile("%0 = *(u8 *)(%1 + 26)" : "=r"(part) : "r"(context));  // of src_ip4
  seen += part;
  return 1;
}

SEC("tc") int of_packet(struct __sk_buff* context) {
  struct bpf_sock* sock = context->sk;
  if (!sock) return 0;
  seen = sock->family + sock->state;
  sock = bpf_sk_fullsock(sock);
  if (!sock) return 0;
  seen += sock->src_ip4 + sock->dst_ip4 + sock->src_ip6[1] + sock->dst_ip6[2] + sock->src_port + sock->dst_port + sock->state +
          sock->rx_queue_mapping + sock->type + sock->protocol + sock->mark + sock->priority + sock->bound_dev_if;
  return 0;
}

SEC("sk_msg") int message(struct sk_msg_md* context) {
  char *data = context->data, *end = context->data_end;
  seen = context->family + context->remote_ip4 + context->local_ip4 + context->remote_ip6[1] + context->local_ip6[3] +
         context->remote_port + context->local_port + context->size;
  if (data + 1 <= end) seen += data[0];
  struct bpf_sock* sock = context->sk;
  return sock && sock->family ? SK_PASS : SK_DROP;
}

SEC("sk_reuseport") int choice(struct sk_reuseport_md* context) {
  char *data = context->data, *end = context->data_end;
  seen = context->len + context->eth_protocol + context->ip_protocol + context->bind_inany + context->hash;
  if (data + 1 <= end) seen += data[0];
  struct bpf_sock* sock = context->sk;
  return sock->family ? SK_PASS : SK_DROP;
}

SEC("sk_lookup") int lookup(struct bpf_sk_lookup* context) {
  seen = context->family + context->protocol + context->remote_ip4 + context->local_ip4 + context->remote_ip6[1] +
         context->local_ip6[2] + context->remote_port + context->local_port + context->ingress_ifindex;
  int part;
  asm volatile("%0 = *(u8 *)(%1 + 17)" : "=r"(part) : "r"(context));  // of remote_ip4
  seen += part;
  struct bpf_sock* sock = context->sk;
  return sock && sock->family ? SK_PASS : SK_DROP;
}

SEC("flow_dissector") int flow(struct __sk_buff* context) {
  char *data = (char*)(long)context->data, *end = (char*)(long)context->data_end;
  struct bpf_flow_keys* keys = (struct bpf_flow_keys*)(long)context->flow_keys;
  if (data + 1 > end) return 1;
  keys->nhoff = data[0];
  return 0;
}

char LICENSE[] SEC("license") = "GPL";

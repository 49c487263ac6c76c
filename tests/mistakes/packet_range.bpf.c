// SPDX-License-Identifier: Apache-2.0
// A packet can be shorter than the headers that are expected in it.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int drop_icmp(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *ethernet = data;
  struct iphdr *ip = data + sizeof(*ethernet);
  if ((void *)(ethernet + 1) > data_end) return XDP_PASS;
  if (ethernet->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
  return ip->protocol == 1 ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";

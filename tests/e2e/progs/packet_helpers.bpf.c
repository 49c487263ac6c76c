// SPDX-License-Identifier: Apache-2.0
// What helpers of packets answer in test runs: each program keeps the results in their order.
#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define TC_ACT_OK 0
enum { kMost = 24 };
__s64 results[kMost];
__u32 found;

// In a function of its own, or the compiler knows too much of the bound.
static __noinline void keep(__s64 value) {
  const __u32 at = *(volatile __u32*)&found;
  if (at < kMost) results[at] = value, found = at + 1;
}
#define KEEP(value) keep((__s64)(value))

SEC("tc")
int sums(struct __sk_buff* skb) {
  KEEP(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
  KEEP(bpf_csum_level(skb, BPF_CSUM_LEVEL_INC));
  KEEP(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
  for (int i = 0; i < 5; ++i) bpf_csum_level(skb, BPF_CSUM_LEVEL_INC);
  KEEP(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
  KEEP(bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC));
  KEEP(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
  KEEP(bpf_csum_level(skb, BPF_CSUM_LEVEL_RESET));
  KEEP(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
  KEEP(bpf_csum_level(skb, 9));
  KEEP(bpf_csum_level(skb, BPF_CSUM_LEVEL_INC));
  KEEP(bpf_skb_adjust_room(skb, 8, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_NO_CSUM_RESET));
  KEEP(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
  KEEP(bpf_skb_adjust_room(skb, -8, BPF_ADJ_ROOM_MAC, 0));
  KEEP(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
  return TC_ACT_OK;
}

SEC("tc")
int congested(struct __sk_buff* skb) {
  KEEP(bpf_skb_ecn_set_ce(skb));
  KEEP(bpf_skb_ecn_set_ce(skb));
  return TC_ACT_OK;
}

SEC("tc")
int delivery(struct __sk_buff* skb) {
  KEEP(bpf_skb_set_tstamp(skb, 77, BPF_SKB_TSTAMP_DELIVERY_MONO));
  KEEP(skb->tstamp);
  KEEP(skb->tstamp_type);
  KEEP(bpf_skb_set_tstamp(skb, 0, BPF_SKB_TSTAMP_DELIVERY_MONO));
  KEEP(bpf_skb_set_tstamp(skb, 5, BPF_SKB_TSTAMP_UNSPEC));
  KEEP(bpf_skb_set_tstamp(skb, 0, 7));
  KEEP(bpf_skb_set_tstamp(skb, 0, BPF_SKB_TSTAMP_UNSPEC));
  KEEP(skb->tstamp_type);
  return TC_ACT_OK;
}

SEC("tc")
int tunnel(struct __sk_buff* skb) {
  struct bpf_tunnel_key key = {}, back = {};
  __u32 options[4] = {1, 2, 3, 4}, seen[8] = {};
  KEEP(bpf_skb_get_tunnel_key(skb, &back, sizeof back, 0));
  KEEP(bpf_skb_get_tunnel_opt(skb, seen, sizeof seen));
  KEEP(bpf_skb_set_tunnel_opt(skb, options, sizeof options));
  key.tunnel_id = 42;
  key.remote_ipv4 = 0x01020304;
  key.local_ipv4 = 0x05060708;
  key.tunnel_ttl = 9;
  KEEP(bpf_skb_set_tunnel_key(skb, &key, sizeof key, BPF_F_DONT_FRAGMENT));
  KEEP(bpf_skb_get_tunnel_key(skb, &back, sizeof back, BPF_F_TUNINFO_FLAGS));
  KEEP(back.tunnel_id);
  KEEP(back.remote_ipv4);
  KEEP(back.local_ipv4);
  KEEP(back.tunnel_ttl);
  KEEP(back.tunnel_flags);
  KEEP(bpf_skb_get_tunnel_key(skb, &back, sizeof back, BPF_F_TUNINFO_IPV6));
  KEEP(back.tunnel_id);
  KEEP(bpf_skb_get_tunnel_opt(skb, seen, sizeof seen));
  KEEP(bpf_skb_set_tunnel_opt(skb, options, sizeof options));
  KEEP(bpf_skb_get_tunnel_opt(skb, seen, sizeof seen));
  KEEP(seen[3]);
  KEEP(bpf_skb_get_tunnel_opt(skb, seen, 8));
  KEEP(seen[0]);
  KEEP(bpf_skb_set_tunnel_opt(skb, options, 6));
  key.remote_ipv6[0] = 1, key.remote_ipv6[3] = 2, key.tunnel_label = 0xfff00001;
  KEEP(bpf_skb_set_tunnel_key(skb, &key, sizeof key, BPF_F_TUNINFO_IPV6 | BPF_F_ZERO_CSUM_TX | BPF_F_SEQ_NUMBER));
  KEEP(bpf_skb_get_tunnel_key(skb, &back, sizeof back, BPF_F_TUNINFO_IPV6 | BPF_F_TUNINFO_FLAGS));
  KEEP(back.local_ipv6[3]);
  KEEP(back.tunnel_label);
  KEEP(back.tunnel_flags);
  return TC_ACT_OK;
}

SEC("tc")
int other_protocol(struct __sk_buff* skb) {
  KEEP(bpf_skb_change_proto(skb, bpf_htons(0x0800), 0));
  KEEP(bpf_skb_change_proto(skb, bpf_htons(0x86dd), 1));
  KEEP(bpf_skb_change_proto(skb, bpf_htons(0x86dd), 0));
  KEEP(skb->len);
  KEEP(bpf_ntohs(skb->protocol));
  return TC_ACT_OK;
}

SEC("tc")
int and_back(struct __sk_buff* skb) {
  KEEP(bpf_skb_change_proto(skb, bpf_htons(0x0800), 0));
  KEEP(skb->len);
  KEEP(bpf_ntohs(skb->protocol));
  return TC_ACT_OK;
}

SEC("tc")
int sockets(struct __sk_buff* skb) {
  struct bpf_xfrm_state state;
  const __u64 cookie = bpf_get_socket_cookie(skb);
  KEEP(cookie != 0);
  KEEP(bpf_get_socket_cookie(skb) == cookie);
  KEEP(bpf_get_socket_uid(skb));
  KEEP(bpf_skb_cgroup_classid(skb));
  KEEP(bpf_skb_get_xfrm_state(skb, 0, &state, sizeof state, 0));
  KEEP(state.spi);
  struct bpf_sock* sk = skb->sk;
  if (!sk) return TC_ACT_OK;
  sk = bpf_sk_fullsock(sk);
  if (!sk) return TC_ACT_OK;
  KEEP(bpf_sk_assign(skb, sk, 1));
  KEEP(bpf_sk_assign(skb, sk, 0));
  void *data = (void*)(long)skb->data, *end = (void*)(long)skb->data_end;
  struct iphdr* ip = data + 14;
  struct tcphdr* tcp = (void*)(ip + 1);
  if ((void*)(tcp + 1) > end) return TC_ACT_OK;
  KEEP(bpf_tcp_check_syncookie(sk, ip, sizeof *ip, tcp, sizeof *tcp));
  KEEP(bpf_tcp_gen_syncookie(sk, ip, sizeof *ip, tcp, sizeof *tcp));
  return TC_ACT_OK;
}

SEC("tc")
int away(struct __sk_buff* skb) {
  struct bpf_redir_neigh next = {};
  KEEP(bpf_redirect_peer(1, 0));
  KEEP(bpf_redirect_peer(1, 1));
  KEEP(bpf_redirect_neigh(1, NULL, 0, 0));
  KEEP(bpf_redirect_neigh(1, NULL, 0, 1));
  KEEP(bpf_redirect_neigh(1, &next, sizeof next, 0));
  KEEP(bpf_redirect_neigh(1, &next, 8, 0));
  return TC_ACT_OK;
}

#define FITS(ctx, ifindex, length, difference, flags)                  \
  do {                                                                 \
    __u32 mtu = (length);                                              \
    KEEP(bpf_check_mtu(ctx, ifindex, &mtu, difference, flags));        \
    KEEP(mtu);                                                         \
  } while (0)

SEC("tc")
int fits(struct __sk_buff* skb) {
  FITS(skb, 0, 0, 0, 0);
  FITS(skb, 1, 0, 65536, 0);
  FITS(skb, 1, 65536, 0, 0);
  FITS(skb, 1, 65537, 0, 0);
  FITS(skb, 1, 65537, -1, 0);
  FITS(skb, 1, 0, 0, 2);
  FITS(skb, 1, 1, 0, BPF_MTU_CHK_SEGS);
  FITS(skb, 1, 0, 0, BPF_MTU_CHK_SEGS);
  return TC_ACT_OK;
}

SEC("xdp")
int frame_fits(struct xdp_md* xdp) {
  FITS(xdp, 0, 0, 0, 0);
  FITS(xdp, 1, 65537, 0, 0);
  FITS(xdp, 1, 0, 70000, 0);
  FITS(xdp, 1, 0, 0, BPF_MTU_CHK_SEGS);
  return XDP_PASS;
}

SEC("tc")
int cookies(struct __sk_buff* skb) {
  void *data = (void*)(long)skb->data, *end = (void*)(long)skb->data_end;
  struct iphdr* ip = data + 14;
  struct tcphdr* tcp = (void*)(ip + 1);
  if ((void*)(tcp + 1) + 4 > end) return TC_ACT_OK;
  KEEP(bpf_tcp_raw_gen_syncookie_ipv4(ip, tcp, 20));
  const __s64 cookie = bpf_tcp_raw_gen_syncookie_ipv4(ip, tcp, 24);
  KEEP(cookie >> 32);
  tcp->seq = bpf_htonl(bpf_ntohl(tcp->seq) + 1);
  tcp->ack_seq = bpf_htonl((__u32)cookie + 1);
  KEEP(bpf_tcp_raw_check_syncookie_ipv4(ip, tcp));
  tcp->ack_seq = bpf_htonl((__u32)cookie + 0x1000001);
  KEEP(bpf_tcp_raw_check_syncookie_ipv4(ip, tcp));
  tcp->ack_seq = bpf_htonl((__u32)cookie + 1);
  tcp->source ^= 1;
  KEEP(bpf_tcp_raw_check_syncookie_ipv4(ip, tcp));
  tcp->source ^= 1;
  tcp->seq = bpf_htonl(bpf_ntohl(tcp->seq) - 1);
  struct ipv6hdr* ip6 = data + 14;
  tcp = (void*)(ip6 + 1);
  if ((void*)(tcp + 1) + 4 > end) return TC_ACT_OK;
  tcp->doff = 6;
  *(__u32*)(tcp + 1) = bpf_htonl(0x02040000 + 1430);
  const __s64 other = bpf_tcp_raw_gen_syncookie_ipv6(ip6, tcp, 24);
  KEEP(other >> 32);
  tcp->seq = bpf_htonl(bpf_ntohl(tcp->seq) + 1);
  tcp->ack_seq = bpf_htonl((__u32)other + 1);
  KEEP(bpf_tcp_raw_check_syncookie_ipv6(ip6, tcp));
  tcp->ack_seq = bpf_htonl((__u32)other + 9);
  KEEP(bpf_tcp_raw_check_syncookie_ipv6(ip6, tcp));
  return TC_ACT_OK;
}

SEC("sk_lookup")
int choose(struct bpf_sk_lookup* lookup) {
  KEEP(bpf_sk_assign(lookup, NULL, 4));
  KEEP(bpf_sk_assign(lookup, NULL, 0));
  KEEP(bpf_sk_assign(lookup, NULL, BPF_SK_LOOKUP_F_REPLACE | BPF_SK_LOOKUP_F_NO_REUSEPORT));
  return SK_PASS;
}

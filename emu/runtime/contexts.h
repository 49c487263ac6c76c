// SPDX-License-Identifier: Apache-2.0
// The objects behind the contexts of network programs: what struct __sk_buff, xdp_md, bpf_sock, bpf_sk_lookup stand
// for. The verifier turns accesses to the uapi struct into accesses to these (kernel: convert_ctx_access), helpers work
// on them, BPF_PROG_TEST_RUN fills them in. They live in the arena. Runtime code.
//
// Packets are linear; only xdp with frags has a second part, which programs reach through helpers alone.
#pragma once

#include <linux/bpf.h>

#include "emu/base/types.h"

namespace bpfemu {

// struct bpf_sock and its relatives. Names and byte orders are the uapi's.
struct RunSock {
  u8 object[1024];  // struct sock as BTF lays it out, for programs that look at that; zero until one asks
  u32 bound_dev_if;
  u32 family;
  u32 type;
  u32 protocol;
  u32 mark;
  u32 priority;
  u32 src_ip4;
  u32 src_ip6[4];
  u32 src_port;  // host byte order
  u16 dst_port;  // network byte order
  u16 pad;       // zero: a 4-byte load of dst_port sees it
  u32 dst_ip4;
  u32 dst_ip6[4];
  u32 state;
  s32 rx_queue_mapping;  // -1: none
  u64 cookie;
  bool full;  // neither a request nor a time-wait socket (kernel: sk_fullsock)
  bool reuseport;
  u64 cgroup;        // id of the one that made it, 0: not known
  u64 kernel;        // struct sock in the arena, with all that begins with it; 0: `object` alone
  bpf_tcp_sock tcp;  // zero where it is none
};

// What bpf_skb_set_tunnel_key says of the tunnel that a packet leaves by (kernel: ip_tunnel_info).
struct RunTunnel {
  u32 id;
  u32 remote[4], local[4];  // as the uapi shows them: IPv4 in host byte order, IPv6 as it is
  u32 label;
  u16 flags;  // TUNNEL_*, network byte order
  u8 tos, ttl;
  bool set, ipv6;
  u8 options_size;
  u8 options[255];
};

// struct __sk_buff. [data, data_end) is the packet, [head, end) the buffer that it may grow in.
struct RunSkb {
  u64 head, data, data_end, end;
  u64 data_meta;       // == data when there is none
  u64 cgroup_end;      // data_end of cgroup programs: 0 in test runs, where the kernel does not compute it
  u64 network_header;  // address, as skb_network_header()
  u64 mac_header;
  bpf_flow_keys* flow_keys;
  RunSock* sk;  // may be null
  u64 device;   // struct net_device, for those who are shown the kernel's sk_buff; 0: none
  u64 tstamp;
  u64 hwtstamp;
  u32 len;
  u32 pkt_type;
  u32 mark;
  u32 queue_mapping;
  u32 protocol;  // network byte order in the lower 16 bits
  u32 vlan_present;
  u32 vlan_tci;
  u32 vlan_proto;
  u32 priority;
  u32 ingress_ifindex;
  u32 ifindex;
  u32 tc_index;
  u32 cb[5];
  u32 hash;
  u32 tc_classid;
  u32 napi_id;
  u32 wire_len;
  u32 gso_segs;
  u32 gso_size;
  u32 tstamp_type;    // BPF_SKB_TSTAMP_*
  u32 csum;           // partial sum, network byte order
  u32 csum_complete;  // `csum` holds the sum of the whole packet (kernel: CHECKSUM_COMPLETE)
  u32 csum_verified;  // by the device, and `csum_level` more behind the first (kernel: CHECKSUM_UNNECESSARY)
  u32 csum_level;
  u32 hash_known;     // `hash` was computed or set (kernel: sw_hash, l4_hash)
  u32 encapsulation;  // a program has made it a tunnel's
  u32 program_type;   // of the running program: helpers differ where the kernel has one a type
  RunTunnel tunnel;
};

inline constexpr u32 kEthernetHeader = 14;
// RunSkb::protocol of the Internet protocols.
inline constexpr u16 kProtocolIpv4 = __builtin_bswap16(0x0800), kProtocolIpv6 = __builtin_bswap16(0x86dd);

// What the device has verified says nothing of other headers (kernel: __skb_reset_checksum_unnecessary).
inline void forget_verified_csum(RunSkb& skb) {
  skb.csum_verified = skb.csum_level = 0;
}

// Once its headers have changed (kernel: skb_clear_hash).
inline void forget_hash(RunSkb& skb) {
  skb.hash = skb.hash_known = 0;
}

// The struct prog_test_ref_kfunc that the kernel's test functions hand out, laid out from BTF, has in front of it what
// those functions look for: the address of its reference count.
inline constexpr u64 kTestObjectHead = sizeof(u32*);

// struct xdp_md.
struct RunXdp {
  u64 data_hard_start, data, data_end, data_meta;
  u64 frame_end;  // data_end may grow up to here (kernel: xdp_data_hard_end)
  u32 ingress_ifindex;
  u32 rx_queue_index;
  u32 egress_ifindex;
  u32 frags_size;  // bytes of the packet beyond the linear part
  u64 frags;       // their address
  u32 has_frags;
};

// What programs of cgroups see, as the uapi has it, and the socket that it is about.
struct RunSockAddr {
  bpf_sock_addr seen;
  RunSock sock;
};
struct RunSockopt {
  bpf_sockopt seen;
  RunSock sock;
};

struct RunSockOps {
  bpf_sock_ops seen;
  RunSock sock;
};

struct RunSysctl {
  bpf_sysctl seen;
  char name[128];  // below /proc/sys
  char current[4096], value[4096];
  u32 current_size, value_size;
  bool replaced;  // `value` is a program's
};

// struct bpf_sk_lookup. Ports and addresses as the uapi shows them.
struct RunSkLookup {
  RunSock* selected;
  u64 selected_cookie;
  u32 family;
  u32 protocol;
  u32 remote_ip4;
  u32 remote_ip6[4];
  u32 remote_port;  // network byte order, lower 16 bits
  u32 local_ip4;
  u32 local_ip6[4];
  u32 local_port;  // host byte order
  u32 ingress_ifindex;
  u32 no_reuseport;
};

}  // namespace bpfemu

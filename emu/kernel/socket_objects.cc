// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/socket_objects.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

namespace bpfemu {

namespace {

constexpr u32 kHz = 250;  // of Debian's kernels
constexpr u32 kUsPerJiffy = 1'000'000 / kHz;

// What a kind of socket is made of: its struct, and where that points into the kernel's image.
struct Kind {
  u16 family, type;
  const char *structure, *proto, *ops;
};
constexpr Kind kKinds[] = {
    {AF_INET, SOCK_STREAM, "tcp_sock", "tcp_prot", "inet_stream_ops"},
    {AF_INET6, SOCK_STREAM, "tcp6_sock", "tcpv6_prot", "inet6_stream_ops"},
    {AF_INET, SOCK_DGRAM, "udp_sock", "udp_prot", "inet_dgram_ops"},
    {AF_INET6, SOCK_DGRAM, "udp6_sock", "udpv6_prot", "inet6_dgram_ops"},
    {AF_UNIX, SOCK_STREAM, "unix_sock", "unix_stream_proto", "unix_stream_ops"},
    {AF_UNIX, SOCK_DGRAM, "unix_sock", "unix_dgram_proto", "unix_dgram_ops"},
    {AF_UNIX, SOCK_SEQPACKET, "unix_sock", "unix_dgram_proto", "unix_seqpacket_ops"},
    {AF_NETLINK, SOCK_RAW, "netlink_sock", "netlink_proto", "netlink_ops"},
    {AF_NETLINK, SOCK_DGRAM, "netlink_sock", "netlink_proto", "netlink_ops"},
};

constexpr Kind kOther{0, 0, "sock", nullptr, nullptr};

const Kind& kind_of(const SocketFacts& facts) {
  for (const Kind& kind : kKinds) {
    if (kind.family != facts.family || kind.type != facts.type) continue;
    const bool others = facts.internet() && facts.protocol != IPPROTO_TCP && facts.protocol != IPPROTO_UDP;
    return others ? kOther : kind;
  }
  return kOther;
}

std::string identity_of(const SocketFacts& facts) {
  return fmt::format("{}", facts.cookie);
}
std::string inode_of(const SocketFacts& facts) {
  return fmt::format("{}", facts.inode);
}

// kernel: socket_state. A listener is unconnected.
u32 socket_state(const SocketFacts& facts) {
  constexpr u32 kUnconnected = 1, kConnecting = 2, kConnected = 3;
  if (facts.state == kTcpSynSent) return kConnecting;
  return facts.peer_known && facts.type != SOCK_DGRAM ? kConnected : kUnconnected;
}

}  // namespace

KernelObject SocketObjects::net(u32 inode) {
  if (inode == 0) return {};
  bool is_new = false;
  const KernelObject net = space_.object(space_.structure("net"), fmt::format("{}", inode), &is_new);
  if (is_new) net.set("ns.inum", inode);
  return net;
}

KernelObject SocketObjects::socket(const SocketFacts& facts) {
  if (facts.inode == 0) return {};
  // The socket and its inode are one object.
  const KernelObject whole = space_.object(space_.structure("socket_alloc"), inode_of(facts));
  if (!whole) return {};
  const KernelObject socket(whole.address("socket"), space_.structure("socket"));
  const KernelObject behind = sock(facts);
  whole.set("vfs_inode.i_ino", facts.inode);
  whole.set("vfs_inode.i_uid", facts.uid);
  whole.set("vfs_inode.i_mode", static_cast<u16>(S_IFSOCK | 0777));
  socket.set("state", socket_state(facts));
  socket.set("type", static_cast<s16>(facts.type));
  socket.set("sk", behind.address());
  socket.set("ops", symbol(kind_of(facts).ops));
  behind.set("sk_socket", socket.address());
  behind.set("sk_wq", socket.address("wq"));
  return socket;
}

KernelObject SocketObjects::sock(const SocketFacts& facts) {
  if (facts.cookie == 0) return {};
  const Kind& kind = kind_of(facts);
  const KernelObject whole = space_.object(space_.structure(kind.structure), identity_of(facts));
  if (!whole) return {};
  const KernelObject sock(whole.address(), space_.structure("sock"));
  fill_common(sock, facts);
  sock.set("__sk_common.skc_prot", symbol(kind.proto));
  if (facts.family == AF_INET6) {
    const KernelObject inet = view(sock, "inet_sock");
    inet.set("pinet6", whole.address("inet6"));
    whole.set("inet6.saddr", facts.local.address);
  }
  if (facts.internet()) fill_inet(sock, facts);
  if (facts.is_tcp()) fill_tcp(sock, facts);
  if (facts.family == AF_UNIX && !facts.path.empty()) fill_unix(sock, facts);
  return sock;
}

u64 SocketObjects::cookie_at(u64 address) const {
  const u64 at = KernelObject(address, space_.structure("sock")).address("__sk_common.skc_cookie");
  return at && space_.holds(at, sizeof(u64)) ? load<u64>(reinterpret_cast<const void*>(at)) : 0;
}

u64 SocketObjects::of_file(u64 address) const {
  const KernelStruct& type = space_.structure("file");
  if (!space_.holds(address, type.size())) return 0;
  const KernelObject file(address, type);
  const auto word = [&](const char* member) {
    const u64 at = file.address(member);
    return at ? load<u64>(reinterpret_cast<const void*>(at)) : 0;
  };
  return word("f_op") == symbol("socket_file_ops") ? word("private_data") : 0;
}

void SocketObjects::fill_common(const KernelObject& sock, const SocketFacts& facts) {
  sock.set("__sk_common.skc_family", facts.family);
  sock.set("__sk_common.skc_state", facts.state);
  // Bit fields of one byte: skc_reuse:4, skc_reuseport:1, skc_ipv6only:1, skc_net_refcnt:1.
  sock.set("__sk_common.skc_reuse",
           static_cast<u8>(facts.reuse_address | facts.reuse_port << 4 | facts.v6_only << 5 | 1 << 6));
  sock.set("__sk_common.skc_bound_dev_if", facts.bound_device);
  sock.set("__sk_common.skc_cookie", facts.cookie);
  sock.set("__sk_common.skc_refcnt", u32{1});
  if (facts.netns) sock.set("__sk_common.skc_net", net(facts.netns).address());
  sock.set("sk_type", facts.type);
  sock.set("sk_protocol", facts.protocol);
  sock.set("sk_uid", facts.uid);
  sock.set("sk_mark", facts.mark);
  sock.set("sk_priority", facts.priority);
  sock.set("sk_sndbuf", facts.send_buffer);
  sock.set("sk_rcvbuf", facts.receive_buffer);
  sock.set("sk_ack_backlog", facts.ack_backlog);
  sock.set("sk_max_ack_backlog", facts.max_ack_backlog);
  sock.set("sk_shutdown", facts.shutdown);
  sock.set("sk_cgrp_data.cgroup", facts.cgroup);
}

void SocketObjects::fill_inet(const KernelObject& sock, const SocketFacts& facts) {
  const KernelObject inet = view(sock, "inet_sock");
  const bool ip6 = facts.family == AF_INET6;
  sock.set("__sk_common.skc_rcv_saddr", facts.receiving_ip4());
  sock.set("__sk_common.skc_num", facts.local.port);
  inet.set("inet_saddr", facts.source_ip4());
  inet.set("inet_sport", htons(facts.local.port));
  if (ip6) sock.set("__sk_common.skc_v6_rcv_saddr", facts.local.address);
  if (facts.peer_known || facts.peer.port != 0) {
    sock.set("__sk_common.skc_daddr", facts.peer_ip4());
    sock.set("__sk_common.skc_dport", htons(facts.peer.port));
    if (ip6) sock.set("__sk_common.skc_v6_daddr", facts.peer.address);
  }
  // recverr:1, is_icsk:1, freebind:1, hdrincl:1, mc_loop:1, transparent:1, mc_all:1, nodefrag:1.
  inet.set("recverr", static_cast<u8>(facts.is_tcp() << 1 | facts.freebind << 2 | facts.transparent << 5));
  inet.set("bind_address_no_port", static_cast<u8>(facts.bind_address_no_port));
}

// What it is bound to: a path with its NUL, or an abstract name.
void SocketObjects::fill_unix(const KernelObject& sock, const SocketFacts& facts) {
  const KernelStruct& type = space_.structure("unix_address");
  const auto name_at = type.offset("name");
  if (!name_at) return;
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  const size_t length = facts.path.copy(name.sun_path, sizeof name.sun_path);
  const size_t size = offsetof(sockaddr_un, sun_path) + length + (name.sun_path[0] != 0);
  const u64 at = space_.bytes("unix_address " + identity_of(facts), static_cast<u32>(*name_at + sizeof name + 1));
  if (!at) return;
  const KernelObject address(at, type);
  address.set("refcnt", u32{1});
  address.set("len", static_cast<s32>(size));
  std::memcpy(reinterpret_cast<void*>(at + *name_at), &name, sizeof name);
  view(sock, "unix_sock").set("addr", at);
}

// kernel: tcp_get_info, the other way round.
void SocketObjects::fill_tcp(const KernelObject& sock, const SocketFacts& facts) {
  const KernelObject icsk = view(sock, "inet_connection_sock"), tcp = view(sock, "tcp_sock");
  if (!facts.congestion.empty())
    icsk.set("icsk_ca_ops", symbol(facts.congestion == "cubic"  ? "cubictcp"
                                   : facts.congestion == "reno" ? "tcp_reno"
                                                                : nullptr));
  if (!facts.tcp || facts.state == kTcpListen) return;
  const tcp_info& info = *facts.tcp;
  icsk.set("icsk_rto", info.tcpi_rto / kUsPerJiffy);
  icsk.set("icsk_ca_state", static_cast<u8>(info.tcpi_ca_state));  // :5, and flags that are not told
  icsk.set("icsk_retransmits", static_cast<u8>(info.tcpi_retransmits));
  icsk.set("icsk_probes_out", static_cast<u8>(info.tcpi_probes));
  icsk.set("icsk_backoff", static_cast<u8>(info.tcpi_backoff));
  tcp.set("srtt_us", info.tcpi_rtt << 3);
  tcp.set("mdev_us", info.tcpi_rttvar << 2);
  tcp.set("mss_cache", info.tcpi_snd_mss);
  tcp.set("advmss", static_cast<u16>(info.tcpi_advmss));
  tcp.set("snd_cwnd", info.tcpi_snd_cwnd);
  tcp.set("snd_ssthresh", info.tcpi_snd_ssthresh);
  tcp.set("rcv_ssthresh", info.tcpi_rcv_ssthresh);
  tcp.set("packets_out", info.tcpi_unacked);
  tcp.set("sacked_out", info.tcpi_sacked);
  tcp.set("lost_out", info.tcpi_lost);
  tcp.set("retrans_out", info.tcpi_retrans);
  tcp.set("total_retrans", info.tcpi_total_retrans);
  tcp.set("reordering", info.tcpi_reordering);
  tcp.set("bytes_acked", info.tcpi_bytes_acked);
  tcp.set("bytes_received", info.tcpi_bytes_received);
  tcp.set("bytes_sent", info.tcpi_bytes_sent);
  tcp.set("bytes_retrans", info.tcpi_bytes_retrans);
  tcp.set("segs_out", info.tcpi_segs_out);
  tcp.set("segs_in", info.tcpi_segs_in);
  tcp.set("data_segs_out", info.tcpi_data_segs_out);
  tcp.set("data_segs_in", info.tcpi_data_segs_in);
  tcp.set("delivered", info.tcpi_delivered);
  tcp.set("rcv_ooopack", info.tcpi_rcv_ooopack);
  tcp.set("snd_wnd", info.tcpi_snd_wnd);
  tcp.set("window_clamp", facts.window_clamp);
}

void SocketObjects::orphan(const SocketFacts& facts) {
  const KernelObject sock = this->sock(facts);
  sock.set("sk_socket", u64{0});
  sock.set("sk_wq", u64{0});
  space_.forget(space_.structure("socket_alloc"), inode_of(facts));
}

void SocketObjects::forget(const SocketFacts& facts) {
  if (facts.inode) space_.forget(space_.structure("socket_alloc"), inode_of(facts));
  space_.forget(space_.structure(kind_of(facts).structure), identity_of(facts));
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/socket_view.h"

#include <arpa/inet.h>

#include <cstring>

namespace bpfemu {

namespace {

// Kernel: bpf_tcp_sock_convert_ctx_access.
void show_tcp(const tcp_info& info, bpf_tcp_sock& tcp) {
  tcp.snd_cwnd = info.tcpi_snd_cwnd;
  tcp.srtt_us = info.tcpi_rtt << 3;
  tcp.rtt_min = info.tcpi_min_rtt;
  tcp.snd_ssthresh = info.tcpi_snd_ssthresh;
  tcp.mss_cache = info.tcpi_snd_mss;
  tcp.packets_out = info.tcpi_unacked;
  tcp.retrans_out = info.tcpi_retrans;
  tcp.total_retrans = info.tcpi_total_retrans;
  tcp.segs_in = info.tcpi_segs_in;
  tcp.data_segs_in = info.tcpi_data_segs_in;
  tcp.segs_out = info.tcpi_segs_out;
  tcp.data_segs_out = info.tcpi_data_segs_out;
  tcp.lost_out = info.tcpi_lost;
  tcp.sacked_out = info.tcpi_sacked;
  tcp.bytes_received = info.tcpi_bytes_received;
  tcp.bytes_acked = info.tcpi_bytes_acked;
  tcp.dsack_dups = info.tcpi_dsack_dups;
  tcp.delivered = info.tcpi_delivered;
  tcp.delivered_ce = info.tcpi_delivered_ce;
  tcp.icsk_retransmits = info.tcpi_retransmits;
}

}  // namespace

void show_socket(const SocketFacts& facts, RunSock& sock) {
  sock.bound_dev_if = static_cast<u32>(facts.bound_device);
  sock.family = facts.family;
  sock.type = facts.type;
  sock.protocol = facts.protocol;
  sock.mark = facts.mark;
  sock.priority = facts.priority;
  sock.src_ip4 = facts.source_ip4();
  sock.dst_ip4 = facts.peer_ip4();
  if (facts.family == AF_INET6) {
    std::memcpy(sock.src_ip6, facts.local.address.data(), sizeof sock.src_ip6);
    std::memcpy(sock.dst_ip6, facts.peer.address.data(), sizeof sock.dst_ip6);
  }
  sock.src_port = facts.local.port;
  sock.dst_port = htons(facts.peer.port);
  sock.state = facts.state;
  sock.rx_queue_mapping = -1;
  sock.cookie = facts.cookie;
  sock.full = facts.state != kTcpTimeWait && facts.state != kTcpNewSynRecv;
  sock.reuseport = facts.reuse_port;
  if (facts.tcp) show_tcp(*facts.tcp, sock.tcp);
  // TCP_INFO of a listener tells its backlog there.
  if (facts.state == kTcpListen) sock.tcp.packets_out = sock.tcp.sacked_out = 0;
}

}  // namespace bpfemu

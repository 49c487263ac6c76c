// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/held_socket.h"

#include <netinet/in.h>

#include <cstring>

namespace bpfemu {

namespace {

void show_tcp(const tcp_info& told, bpf_tcp_sock& sock) {
  sock.snd_cwnd = told.tcpi_snd_cwnd;
  sock.srtt_us = told.tcpi_rtt << 3;
  sock.rtt_min = told.tcpi_min_rtt;
  sock.snd_ssthresh = told.tcpi_snd_ssthresh;
  sock.mss_cache = told.tcpi_snd_mss;
  sock.packets_out = told.tcpi_unacked;
  sock.retrans_out = told.tcpi_retrans;
  sock.total_retrans = told.tcpi_total_retrans;
  sock.segs_in = told.tcpi_segs_in;
  sock.data_segs_in = told.tcpi_data_segs_in;
  sock.segs_out = told.tcpi_segs_out;
  sock.data_segs_out = told.tcpi_data_segs_out;
  sock.lost_out = told.tcpi_lost;
  sock.sacked_out = told.tcpi_sacked;
  sock.bytes_received = told.tcpi_bytes_received;
  sock.bytes_acked = told.tcpi_bytes_acked;
  sock.dsack_dups = told.tcpi_dsack_dups;
  sock.delivered = told.tcpi_delivered;
  sock.delivered_ce = told.tcpi_delivered_ce;
  sock.icsk_retransmits = told.tcpi_retransmits;
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
}

Result<std::shared_ptr<HeldSocket>> HeldSocket::create(Arena& arena, SocketRef socket) {
  std::shared_ptr<HeldSocket> held(new HeldSocket(arena, std::move(socket)));
  held->extent_ = TRY(arena.allocate(sizeof(RunSock)));
  held->show();
  return held;
}

HeldSocket::~HeldSocket() {
  if (extent_.size) arena_.release(extent_);
}

}  // namespace bpfemu

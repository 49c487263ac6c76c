// SPDX-License-Identifier: Apache-2.0
// Packets between two sockets of this machine, as they pass the loopback device: each is sent and received in one go,
// by the task that sends it. Their headers stand in a sk_buff; sequence numbers and checksums are 0, for nobody tells
// them.
#pragma once

#include "emu/hook/occasion.h"
#include "emu/kernel/sockets.h"

namespace bpfemu {

struct Packet {
  const SocketFacts& from;
  u8 protocol = 6;      // IPPROTO_TCP
  u8 tcp_flags = 0x10;  // ACK, as in the header's 14th byte
  u32 header = 32;      // of TCP, with its timestamps, or of UDP
  u32 payload = 0;
};

class Packets {
 public:
  explicit Packets(Occasion& occasion) : occasion_(occasion) {}

  // net_dev_start_xmit and netif_receive_skb on "lo".
  void pass(const Packet& packet);
  // The one that passed last, as the receiving side has it: its struct sk_buff, 0 without room or before the first.
  u64 received(const KernelObject& socket = {});
  // It is thrown away by `function` of the kernel's (kernel: kfree_skb_reason).
  void drop(const char* function, u32 offset, u32 reason);

 private:
  void build(const Packet& packet);

  Occasion& occasion_;
  KernelObject skb_;
  u64 head_ = 0;
  u32 ethertype_ = 0, length_ = 0;  // without the link's header
};

}  // namespace bpfemu

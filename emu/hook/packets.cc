// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/packets.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <cstring>

#include "emu/hook/record.h"
#include "emu/kernel/network_objects.h"

namespace bpfemu {

namespace {

constexpr u32 kLink = 14, kIp4 = 20, kIp6 = 40;  // headers
constexpr u32 kRoom = 16, kHead = 256;           // before the link's header, and in all
constexpr u32 kEtherIp4 = 0x0800, kEtherIp6 = 0x86dd;
constexpr u8 kPartialChecksum = 3;  // CHECKSUM_PARTIAL
constexpr u32 kLoopbackMtu = 65536;

bool listened_to(const Occasion& occasion) {
  for (Hook hook : {Hook::trace_net_dev_start_xmit, Hook::eth_type_trans, Hook::trace_netif_receive_skb,
                    Hook::trace_kfree_skb, Hook::tcp_rcv_established, Hook::tcp_rcv_state_process,
                    Hook::tcp_v4_syn_recv_sock, Hook::tcp_v6_syn_recv_sock}) {
    if (occasion.awaited(hook)) return true;
  }
  return false;
}

KernelObject loopback_device(ObjectSpace& space, u32 network) {
  DeviceFacts facts;
  facts.index = 1;
  facts.name = "lo";
  facts.flags = IFF_UP | IFF_LOOPBACK;
  facts.mtu = kLoopbackMtu;
  return device_object(space, network, facts);
}

void put_ip4(u8* at, const Packet& packet, u32 length) {
  at[0] = 0x45;
  store(at + 2, htons(static_cast<u16>(length)));
  at[8] = 64;
  at[9] = packet.protocol;
  store(at + 12, packet.from.local.ip4());
  store(at + 16, packet.from.peer.ip4());
}

void put_ip6(u8* at, const Packet& packet, u32 length) {
  at[0] = 0x60;
  store(at + 4, htons(static_cast<u16>(length - kIp6)));
  at[6] = packet.protocol;
  at[7] = 64;
  std::memcpy(at + 8, packet.from.local.address.data(), 16);
  std::memcpy(at + 24, packet.from.peer.address.data(), 16);
}

void put_transport(u8* at, const Packet& packet) {
  store(at, htons(packet.from.local.port));
  store(at + 2, htons(packet.from.peer.port));
  if (packet.protocol == IPPROTO_TCP) {
    at[12] = static_cast<u8>(packet.header / 4 << 4);
    at[13] = packet.tcp_flags;
  } else {
    store(at + 4, htons(static_cast<u16>(packet.header + packet.payload)));
  }
}

}  // namespace

void Packets::build(const Packet& packet) {
  ObjectSpace& space = occasion_.services().objects;
  const KernelStruct& type = space.structure("sk_buff");
  if (!skb_ && type.size()) {
    if (const u64 at = occasion_.place_zeroed(type.size())) skb_ = KernelObject(at, type);
    head_ = occasion_.place_zeroed(kHead);
  }
  const bool ip6 = !packet.from.speaks_ip4();
  const u32 ip = ip6 ? kIp6 : kIp4;
  ethertype_ = ip6 ? kEtherIp6 : kEtherIp4;
  length_ = ip + packet.header + packet.payload;
  if (!skb_ || !head_) return;
  u8* const network = reinterpret_cast<u8*>(head_) + kRoom + kLink;
  std::memset(reinterpret_cast<void*>(head_), 0, kHead);
  ip6 ? put_ip6(network, packet, length_) : put_ip4(network, packet, length_);
  put_transport(network + ip, packet);
  skb_.set("dev", loopback_device(space, packet.from.netns).address());
  skb_.set("sk", u64{0});
  skb_.set("protocol", htons(static_cast<u16>(ethertype_)));
  skb_.set("head", head_);
  skb_.set("mac_header", static_cast<u16>(kRoom));
  skb_.set("network_header", static_cast<u16>(kRoom + kLink));
  skb_.set("transport_header", static_cast<u16>(kRoom + kLink + ip));
  skb_.set("data", head_ + kRoom);
  skb_.set("len", length_ + kLink);
  skb_.set("data_len", packet.payload);
}

void Packets::pass(const Packet& packet) {
  if (!listened_to(occasion_)) return;
  build(packet);
  const u32 ip = ethertype_ == kEtherIp6 ? kIp6 : kIp4;
  const auto device = [&] { return loopback_device(occasion_.services().objects, packet.from.netns).address(); };
  occasion_.trace(
      Hook::trace_net_dev_start_xmit,
      [&](Arguments& a) {
        a[0] = skb_.address();
        a.lazily(1, device);
      },
      [&](Record& r) {
        r.text("name", "lo");
        r.set("skbaddr", skb_.address());
        r.set("protocol", ethertype_);
        r.set("ip_summed", kPartialChecksum);
        r.set("len", length_ + kLink);
        r.set("data_len", packet.payload);
        r.set("network_offset", kLink);
        r.set("transport_offset_valid", true);
        r.set("transport_offset", kLink + ip);
      });
  const Passing taking = occasion_.enter(Hook::eth_type_trans, [&](Arguments& a) {
    a[0] = skb_.address();
    a.lazily(1, device);
  });
  skb_.set("data", head_ + kRoom + kLink);
  skb_.set("len", length_);
  taking.leave(htons(static_cast<u16>(ethertype_)));
  occasion_.trace(
      Hook::trace_netif_receive_skb, [&](Arguments& a) { a[0] = skb_.address(); },
      [&](Record& r) {
        r.set("skbaddr", skb_.address());
        r.set("len", length_);
        r.text("name", "lo");
      });
}

u64 Packets::received(const KernelObject& socket) {
  skb_.set("sk", socket.address());
  return skb_.address();
}

void Packets::drop(const char* function, u32 offset, u32 reason) {
  const u64 place = occasion_.services().kernel.symbols().address(function) + offset;
  occasion_.trace(
      Hook::trace_kfree_skb,
      [&](Arguments& a) {
        a[0] = skb_.address();
        a[1] = place;
        a[2] = reason;
      },
      [&](Record& r) {
        r.set("skbaddr", skb_.address());
        r.set("location", place);
        r.set("protocol", ethertype_);
        r.set("reason", reason);
      });
}

}  // namespace bpfemu

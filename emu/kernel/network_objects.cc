// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/network_objects.h"

#include <fmt/format.h>
#include <net/if.h>
#include <net/route.h>
#include <sys/socket.h>

namespace bpfemu {

namespace {

constexpr u32 kGroups = 32;  // that a socket of netlink has room for at least

std::string hex(const std::array<u8, 16>& bytes) {
  std::string text;
  for (u8 byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace

KernelObject device_object(ObjectSpace& space, u32 network, const DeviceFacts& facts) {
  const KernelObject device = space.object(space.structure("net_device"), fmt::format("{} {}", network, facts.index));
  device.set("ifindex", static_cast<s32>(facts.index));
  device.set("mtu", facts.mtu);
  device.set("flags", facts.flags);
  device.set_text("name", facts.name, IFNAMSIZ);
  return device;
}

KernelObject route_object(ObjectSpace& space, u32 network, const Route6& facts,
                          const std::optional<DeviceFacts>& device) {
  const KernelStruct& type = space.structure("fib6_info");
  const KernelStruct& hop_type = space.structure("fib6_nh");
  const auto hop_at = type.offset("fib6_nh");
  if (!hop_at) return {};
  const u64 at = space.bytes(fmt::format("fib6_info {} {}/{} {} {} {}", network, hex(facts.target), facts.target_bits,
                                         facts.metric, hex(facts.gateway), facts.device),
                             *hop_at + hop_type.size());
  if (!at) return {};
  const KernelObject route(at, type), hop(at + *hop_at, hop_type);
  route.set("fib6_dst.addr", facts.target);
  route.set("fib6_dst.plen", s32{facts.target_bits});
  route.set("fib6_src.addr", facts.source);
  route.set("fib6_src.plen", s32{facts.source_bits});
  route.set("fib6_metric", facts.metric);
  route.set("fib6_ref", facts.references);
  route.set("fib6_flags", facts.flags & ~u32{RTF_GATEWAY});
  hop.set("nh_common.nhc_dev", device ? device_object(space, network, *device).address() : u64{0});
  hop.set("nh_common.nhc_oif", device ? static_cast<s32>(device->index) : s32{0});
  hop.set("nh_common.nhc_family", static_cast<u8>(AF_INET6));
  hop.set("nh_common.nhc_gw_family", static_cast<u8>(facts.flags & RTF_GATEWAY ? AF_INET6 : AF_UNSPEC));
  hop.set("nh_common.nhc_gw", facts.gateway);
  return route;
}

void fill_netlink_sock(ObjectSpace& space, const KernelObject& sock, const NetlinkSocket& facts) {
  const KernelObject socket(sock.address(), space.structure("netlink_sock"));
  sock.set("__sk_common.skc_refcnt", facts.references);
  sock.set("sk_backlog.rmem_alloc", facts.unread);
  sock.set("sk_wmem_alloc", static_cast<u32>(facts.unsent + 1));
  sock.set("sk_drops", facts.drops);
  socket.set("portid", facts.port);
  socket.set("bound", static_cast<u8>(facts.port != 0));
  socket.set("cb_running", static_cast<u8>(facts.dumping));
  if (!facts.groups) return;
  const u64 groups = space.bytes(fmt::format("netlink groups {:x}", sock.address()), kGroups / 8);
  if (groups) store(reinterpret_cast<void*>(groups), u64{facts.groups});
  socket.set("ngroups", kGroups);
  socket.set("groups", groups);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/device_facts.h"

#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

#include "emu/kernel/netlink.h"

namespace bpfemu {

namespace {

// Drivers that take XDP programs of their own, as ethtool names them. virtio_net's and others' conditions (queues, what
// the device merges, its MTU) are not modelled.
constexpr std::string_view kNativeDrivers[] = {
    "atlantic", "bnxt_en", "bonding",   "cpsw",        "ena",    "fsl_dpa",    "fsl_dpaa2_eth", "fsl_enetc",
    "funeth",   "hv_netvsc", "i40e",    "ice",         "igb",    "igc",        "ixgbe",         "ixgbevf",
    "mana",     "mlx4_en", "mlx5_core", "mtk_soc_eth", "mvneta", "mvpp2",      "netsec",        "nfp",
    "nicvf",    "qede",    "rvu_nicpf", "rvu_nicvf",   "sfc",    "sfc_siena",  "st_gmac",       "virtio_net",
    "vif",
};

struct Question {
  nlmsghdr header{};
  ifinfomsg device{};
};

// The kernel answers within send().
Result<std::string> ask(int netlink, u32 index, const std::string& name) {
  Question question;
  question.header.nlmsg_type = RTM_GETLINK;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.device.ifi_index = static_cast<int>(index);
  std::string message(reinterpret_cast<const char*>(&question), sizeof question);
  if (!index) put_attribute(message, IFLA_IFNAME, {name.c_str(), name.size() + 1});
  const u32 size = static_cast<u32>(message.size());
  std::memcpy(message.data(), &size, sizeof size);
  if (::send(netlink, message.data(), message.size(), 0) < 0) return fail(errno);
  std::string answer(32768, '\0');
  const ssize_t got = ::recv(netlink, answer.data(), answer.size(), MSG_DONTWAIT);
  if (got < 0) return fail(errno);
  answer.resize(static_cast<size_t>(got));
  return answer;
}

std::string driver_name(int socket, const std::string& device) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  ifreq request{};
  device.copy(request.ifr_name, sizeof request.ifr_name - 1);
  request.ifr_data = reinterpret_cast<char*>(&info);
  if (::ioctl(socket, SIOCETHTOOL, &request) != 0) return {};
  return {info.driver, ::strnlen(info.driver, sizeof info.driver)};
}

// Kernel: veth_xdp_set.
XdpDriver veth_driver(int netlink, const DeviceFacts& device, bool frags) {
  constexpr u32 kRoom = 4096 - 256 - 320 - 14, kMoreWithFrags = 17 * 4096;
  const auto peer = device.link ? device_facts(netlink, device.link) : fail(ENODEV);
  XdpDriver driver{.native = true};
  if (peer && peer->mtu > kRoom + (frags ? kMoreWithFrags : 0))
    driver.refuses = {ERANGE, "veth: Peer MTU is too large to set XDP"};
  return driver;
}

}  // namespace

Result<DeviceFacts> device_facts(int netlink, u32 index, const std::string& name) {
  const std::string answer = TRY(ask(netlink, index, name));
  const std::string_view message = first_message(answer);
  const auto head = struct_at<nlmsghdr>(message, 0);
  const auto body = body_of<ifinfomsg>(message);
  if (!body || head->nlmsg_type != RTM_NEWLINK) return fail(ENODEV);
  const std::string_view told = attributes_of<ifinfomsg>(message);
  DeviceFacts device;
  device.index = static_cast<u32>(body->ifi_index);
  device.name = text_attribute(told, IFLA_IFNAME);
  device.kind = text_attribute(attribute(told, IFLA_LINKINFO).value_or(std::string_view()), IFLA_INFO_KIND);
  device.driver = driver_name(netlink, device.name);
  device.flags = body->ifi_flags;
  device.mtu = number_attribute<u32>(told, IFLA_MTU).value_or(0);
  if (!attribute(told, IFLA_LINK_NETNSID)) device.link = number_attribute<u32>(told, IFLA_LINK).value_or(0);
  device.master = number_attribute<u32>(told, IFLA_MASTER).value_or(0);
  device.ethernet = body->ifi_type == ARPHRD_ETHER;
  return device;
}

XdpDriver xdp_driver(int netlink, const DeviceFacts& device, bool frags) {
  if (device.kind == "veth") return veth_driver(netlink, device, frags);
  if (device.kind == "tun") return {.native = device.ethernet};  // tap, but not tun
  if (device.kind == "netdevsim" || std::ranges::find(kNativeDrivers, device.driver) != std::end(kNativeDrivers))
    return {.native = true, .refuses = {ENOTSUPP}};
  return {};
}

bool is_upper(const DeviceFacts& upper, const DeviceFacts& device) {
  constexpr std::string_view kStacked[] = {"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"};
  if (device.master && device.master == upper.index) return true;
  return upper.link == device.index && std::ranges::find(kStacked, upper.kind) != std::end(kStacked);
}

}  // namespace bpfemu

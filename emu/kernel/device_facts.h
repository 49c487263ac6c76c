// SPDX-License-Identifier: Apache-2.0
// What a network device of the host's is, as rtnetlink(7) tells everybody.
#pragma once

#include <string>

#include "emu/base/result.h"
#include "emu/bpf/xdp.h"

namespace bpfemu {

struct DeviceFacts {
  u32 index = 0;
  std::string name;
  std::string kind;    // "veth", "bridge"; "" of a physical one, and of lo
  std::string driver;  // as ethtool shows it; "": it does not say
  u32 flags = 0;       // IFF_*
  u32 mtu = 0;
  u32 link = 0;        // what it lies on, or the other end of it; 0: none in this network
  u32 master = 0;      // the bridge or bond that it is part of
  bool ethernet = false;
};

// Through `netlink`, a NETLINK_ROUTE socket of the device's network: by its index, or with 0 by its name. ENODEV.
Result<DeviceFacts> device_facts(int netlink, u32 index, const std::string& name = {});

// What the claimed kernel's driver of the device has for XDP; where the conditions that it has are not modelled, it
// refuses with ENOTSUPP. `frags`: the program knows packets in several parts.
XdpDriver xdp_driver(int netlink, const DeviceFacts& device, bool frags);
// Does `upper` lie on top of the device (kernel: netdev_for_each_upper_dev_rcu)?
bool is_upper(const DeviceFacts& upper, const DeviceFacts& device);

}  // namespace bpfemu

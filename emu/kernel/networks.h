// SPDX-License-Identifier: Apache-2.0
// What programs are attached to network namespaces of the host and to the devices in them. That one of them is gone
// nobody tells: look_again() finds it.
#pragma once

#include <map>
#include <memory>

#include "emu/base/fd.h"
#include "emu/bpf/netns_programs.h"
#include "emu/bpf/xdp.h"
#include "emu/kernel/device_facts.h"
#include "emu/ports/host.h"

namespace bpfemu {

struct Network {
  explicit Network(u32 inode) : programs(std::make_shared<NetnsPrograms>(inode)) {}

  std::shared_ptr<NetnsPrograms> programs;
  std::map<u32, std::shared_ptr<XdpDevice>> devices;  // by index, those that had a program once
};

class Networks {
 public:
  explicit Networks(Host& host) : host_(host) {}

  Network& at(u32 inode) { return networks_.try_emplace(inode, inode).first->second; }
  // Has any device a program?
  bool any_xdp() const;
  // Null: none was attached to it.
  const XdpDevice* device(u32 network, u32 index) const;
  // Attaches to a device in the task's network. ENODEV: there is none; ENOTSUPP: what its driver would say is not modelled.
  XdpResult attach(Task& task, u32 index, XdpAttach attach);
  // Is a program of the type attached to a namespace that excludes one in `network` (kernel:
  // flow_dissector_bpf_prog_attach_check)?
  bool excluded(u32 network, u32 type) const;
  // Lets go of what is attached to what is gone, as far as it can be seen from where the task is.
  void look_again(Task& task);

 private:
  bool lives(u32 network) const;

  Host& host_;
  std::map<u32, Network> networks_;  // by inode, those that had a program once
};

// A NETLINK_ROUTE socket in the task's network.
UniqueFd route_socket(Task& task);

}  // namespace bpfemu

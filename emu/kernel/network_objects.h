// SPDX-License-Identifier: Apache-2.0
// Devices, routes and sockets of netlink as the kernel's own structs. A device is found again by its network and index, a
// route by its network, what it leads to and through what; what bpfemu does not know of them is 0.
#pragma once

#include "emu/kernel/device_facts.h"
#include "emu/kernel/network_tables.h"
#include "emu/kernel/object_space.h"
#include "emu/kernel/socket_objects.h"

namespace bpfemu {

// struct net_device.
KernelObject device_object(ObjectSpace& space, u32 network, const DeviceFacts& device);
// struct fib6_info with one next hop; `device` is the route's, none where it is gone.
KernelObject route_object(ObjectSpace& space, u32 network, const Route6& route, const std::optional<DeviceFacts>& device);
// What the struct netlink_sock of `sock` has beyond a struct sock.
void fill_netlink_sock(ObjectSpace& space, const KernelObject& sock, const NetlinkSocket& socket);

}  // namespace bpfemu

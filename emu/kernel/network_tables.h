// SPDX-License-Identifier: Apache-2.0
// What /proc/PID/net tells of a network: its IPv6 routes, and its sockets of netlink, the kernel's own among them.
#pragma once

#include <sys/types.h>

#include <array>
#include <string>
#include <vector>

#include "emu/base/result.h"
#include "emu/base/types.h"

namespace bpfemu {

struct NetlinkSocket {
  u32 protocol = 0, port = 0;  // the kernel's own have port 0
  u32 groups = 0;              // the first 32 that it has joined
  s32 unread = 0, unsent = 0;  // bytes
  bool dumping = false;
  u32 references = 0;
  s32 drops = 0;
  u64 inode = 0;
};

struct Route6 {
  std::array<u8, 16> target{}, source{}, gateway{};
  u8 target_bits = 0, source_bits = 0;
  u32 metric = 0, references = 0;
  u32 flags = 0;  // RTF_*
  std::string device;
};

// In the kernel's order, of the network that the thread is in. ESRCH.
Result<std::vector<NetlinkSocket>> netlink_sockets(pid_t tid);
Result<std::vector<Route6>> routes6(pid_t tid);

}  // namespace bpfemu

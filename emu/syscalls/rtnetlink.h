// SPDX-License-Identifier: Apache-2.0
// The netlink sockets through which network devices may be changed, and the processes that have them: what they send
// stops, and nobody else's.
#pragma once

#include <set>

#include "emu/ports/host.h"

namespace bpfemu {

class Rtnetlink {
 public:
  explicit Rtnetlink(Host& host) : host_(host) {}

  void add(Task& task, int fd);
  bool contains(Task& task, int fd) const;

 private:
  Host& host_;
  std::set<FileId> sockets_;  // the kernel does not give the numbers of closed ones again soon
};

}  // namespace bpfemu

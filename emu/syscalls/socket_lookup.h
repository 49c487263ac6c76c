// SPDX-License-Identifier: Apache-2.0
// The sockets that a program finds by their addresses, while it runs for a task.
#pragma once

#include <memory>
#include <vector>

#include "emu/syscalls/system.h"

namespace bpfemu {

class SocketLookup {
 public:
  SocketLookup(System& system, Task& task) : system_(system), task_(task), services_{this, find} {}
  SocketLookup(const SocketLookup&) = delete;
  SocketLookup& operator=(const SocketLookup&) = delete;

  const SocketLookupServices& services() const { return services_; }

 private:
  static u64 find(void* self, const void* tuple, u16 family, u8 protocol, s32 netns, bool full);
  SocketRef tcp(u16 family, const SocketEnd& local, const SocketEnd& peer, bool full);
  SocketRef whole(SocketRef socket);

  System& system_;
  Task& task_;
  SocketLookupServices services_;
  std::vector<std::shared_ptr<HeldSocket>> found_;  // as long as the program may hold them
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Connections whose last descriptor is closed go on without their process: the peer acknowledges, closes too, or times
// out. They are looked at several times a second, as long as somebody listens, and what became of them is told for the
// idle task: where no task does anything, the kernel does this in an interrupt of whoever runs.
#pragma once

#include <vector>

#include "emu/hook/occasion.h"

namespace bpfemu {

class Orphans {
 public:
  Orphans(HookSink& sink, const HookServices& services) : sink_(sink), services_(services) {}
  ~Orphans();
  Orphans(const Orphans&) = delete;
  Orphans& operator=(const Orphans&) = delete;

  void add(SocketRef socket);

 private:
  void look();

  static constexpr u64 kPeriod = 50'000'000;  // ns
  static constexpr size_t kMost = 4096;
  HookSink& sink_;
  const HookServices& services_;
  std::vector<SocketRef> sockets_;
  std::optional<Host::TimerId> timer_;
};

}  // namespace bpfemu

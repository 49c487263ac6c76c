// SPDX-License-Identifier: Apache-2.0
// What happens to connections while no call of theirs is under way: a peer elsewhere closes, one whose last descriptor
// is closed goes on until its own end, a process ends. They are looked at several times a second, as long as somebody
// listens to states, and what became of them is told for the idle task, since no task does it: the kernel does, in an
// interrupt of whoever runs.
#pragma once

#include "emu/hook/occasion.h"

namespace bpfemu {

class SocketWatch {
 public:
  SocketWatch(HookSink& sink, const HookServices& services) : sink_(sink), services_(services) {}
  ~SocketWatch();
  SocketWatch(const SocketWatch&) = delete;
  SocketWatch& operator=(const SocketWatch&) = delete;

  // There are connections.
  void begin();

 private:
  void look();

  static constexpr u64 kPeriod = 50'000'000;  // ns
  static constexpr u64 kRest = 20;            // times as long as it has looked, where there are very many
  HookSink& sink_;
  const HookServices& services_;
  std::optional<Host::TimerId> timer_;
  u64 rests_until_ = 0;
  bool looking_ = false;  // a program stands aside
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Other processes on the same memory, with descriptors of their own: cheap where a fork that copies memory is not. They
// run while the process that asks waits, so they take turns with errno and the heap as well.
#pragma once

#include "emu/base/types.h"

namespace bpfemu::fuzz {

// Calls `work` in a process that begins with a copy of all descriptors and ends with the call. Returns how it ended, as
// wait() tells it. In such a process another Child may be used, not the same.
class Child {
 public:
  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int run(void (*work)(void*), void* argument);

 private:
  alignas(16) u8 stack_[1 << 18];
};

// A process that lives on between its calls, and begins without descriptors below `first_fixed`. Uses those from
// `first_own` on for itself.
class Peer {
 public:
  Peer(int first_fixed, int first_own) : first_fixed_(first_fixed), first_own_(first_own) {}
  ~Peer() { end(); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void run(void (*work)(void*), void* argument);
  // It exits: what only it holds goes.
  void end();
  bool lives() const { return pid_ > 0; }

 private:
  static int serve(void* self);
  void begin();

  int first_fixed_, first_own_;
  int pid_ = 0;
  void (*work_)(void*) = nullptr;
  void* argument_ = nullptr;
  alignas(16) u8 stack_[1 << 18];
};

}  // namespace bpfemu::fuzz

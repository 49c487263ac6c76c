// SPDX-License-Identifier: Apache-2.0
// An owner-tagged spin lock in the arena. A holder can be SIGKILLed at any instruction, so the lock names its holder
// and the supervisor can take it over from a thread that is gone. Runtime code.
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

struct ArenaLock {
  u32 holder;  // tid, 0 when free

  bool try_acquire(u32 tid) {
    u32 free = 0;
    return __atomic_compare_exchange_n(&holder, &free, tid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
  }
  void acquire(u32 tid) {
    while (!try_acquire(tid)) __builtin_ia32_pause();
  }
  void release() { __atomic_store_n(&holder, 0, __ATOMIC_RELEASE); }
  // Supervisor only: frees the lock when `dead` still holds it; true when it did.
  bool recover(u32 dead) {
    return __atomic_compare_exchange_n(&holder, &dead, 0, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
  }
};

}  // namespace bpfemu

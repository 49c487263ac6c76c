// SPDX-License-Identifier: Apache-2.0
// Holds an ArenaLock for a scope and tells the vCPU, so that the lock of a killed thread is found. Runtime code.
#pragma once

#include "emu/arena/lock.h"
#include "emu/runtime/run.h"

namespace bpfemu {

// Holder of locks that the supervisor takes on nobody's behalf. Larger than any tid.
inline constexpr u32 kSupervisorHolder = 0x7fffffff;

inline u32 lock_holder(const Run* run) {
  return run && run->cpu && run->cpu->owner ? run->cpu->owner : kSupervisorHolder;
}

// `run` may be null: a system call of the supervisor's own.
inline void hold_lock(Run* run, ArenaLock& lock) {
  // Noted first: recovering a lock that was never taken does nothing.
  if (Vcpu* cpu = run ? run->cpu : nullptr; cpu && cpu->held_count < kMaxHeldLocks) {
    cpu->held[cpu->held_count] = &lock;
    __atomic_store_n(&cpu->held_count, cpu->held_count + 1, __ATOMIC_RELEASE);
  }
  lock.acquire(lock_holder(run));
}
inline void drop_lock(Run* run, ArenaLock& lock) {
  lock.release();
  if (Vcpu* cpu = run ? run->cpu : nullptr; cpu && cpu->held_count && cpu->held[cpu->held_count - 1] == &lock) {
    __atomic_store_n(&cpu->held_count, cpu->held_count - 1, __ATOMIC_RELEASE);
  }
}

// Does the thread itself hold it further out: a program has met a function that takes it (kernel: htab->map_locked)?
inline bool holds_lock(const Run* run, const ArenaLock& lock) {
  return run && run->outer && __atomic_load_n(&lock.holder, __ATOMIC_RELAXED) == lock_holder(run);
}

class HeldLock {
 public:
  HeldLock(Run* run, ArenaLock& lock) : run_(run), lock_(lock) { hold_lock(run_, lock_); }
  ~HeldLock() { drop_lock(run_, lock_); }
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;

 private:
  Run* run_;
  ArenaLock& lock_;
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Taking and leaving a vCPU slot. Runtime code.
#pragma once

#include "emu/arena/lock.h"
#include "emu/bpf/run.h"

namespace bpfemu {

// Gives thread `tid` a free slot, looking from `wanted` (the task's real CPU) upwards and around; null when none is
// free. The caller leaves it with release_vcpu, or the supervisor takes it back from a dead thread.
inline Vcpu* acquire_vcpu(Vcpu* vcpus, u32 count, u32 wanted, u32 tid) {
  for (u32 i = 0; i < count; ++i) {
    Vcpu& cpu = vcpus[(wanted + i) % count];
    u32 free = 0;
    if (__atomic_compare_exchange_n(&cpu.owner, &free, tid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return &cpu;
  }
  return nullptr;
}

inline void release_vcpu(Vcpu& cpu) {
  cpu.active = 0;
  __atomic_store_n(&cpu.owner, 0, __ATOMIC_RELEASE);
}

// Supervisor only: frees the slot, and every lock taken through it, when the thread `dead` still has it.
inline bool recover_vcpu(Vcpu& cpu, u32 dead) {
  if (__atomic_load_n(&cpu.owner, __ATOMIC_ACQUIRE) != dead) return false;
  for (u32 i = 0; i < cpu.held_count && i < kMaxHeldLocks; ++i) cpu.held[i]->recover(dead);
  cpu.held_count = 0;
  release_vcpu(cpu);
  return true;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// A vCPU slot; taking and leaving it. Runtime code.
#pragma once

#include "emu/abi/pt_regs.h"
#include "emu/arena/lock.h"
#include "emu/base/types.h"

namespace bpfemu {

// How deep locks nest at the most: a hash bucket, the free list behind it, a bpf_spin_lock around both.
inline constexpr u32 kMaxHeldLocks = 4;

// Who runs programs on a CPU: a thread that does so in its own process has no vCPU but this, which it can write to.
struct CpuSeat {
  u32 holder;  // tid, 0 when free
  u32 taken;   // how often it was
  u32 asks;    // the holder has stopped in the midst of a program, to ask for something
  u32 unused[13];
};

inline bool take_seat(CpuSeat& seat, u32 tid) {
  u32 free = 0;
  if (!__atomic_compare_exchange_n(&seat.holder, &free, tid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return false;
  seat.asks = 0;
  __atomic_add_fetch(&seat.taken, 1, __ATOMIC_RELAXED);
  return true;
}
inline void leave_seat(CpuSeat& seat) {
  __atomic_store_n(&seat.holder, 0, __ATOMIC_RELEASE);
}

// One virtual CPU. A program runs while holding one, which gives per-CPU maps and bpf_get_smp_processor_id the
// kernel's exclusivity. Lives in the arena.
struct Vcpu {
  u32 owner;                // tid of the thread whose event runs here, 0 when free
  u32 id;                   // of the CPU that programs see
  u32 slot;                 // its place among all of them
  u32 tail_calls;
  CpuSeat* seat;            // null: no thread runs programs on the CPU by itself
  bool seat_is_owners;      // it was his before
  u64 prandom[4];
  PtRegs regs[4];           // pt_regs copies that program contexts point to, by nesting depth
  u8 scratch[4096];         // bpf_trace_printk, bpf_snprintf and event records are built here
  ArenaLock* held[kMaxHeldLocks];  // locks that the owner holds or is taking, to recover them when it is killed
  u32 held_count;
  u32 scratch_used;         // bytes of `scratch` in use by callers further up
};

// Behind the slots of the CPUs there are some for what comes while programs that take long have stood aside in theirs:
// as on a CPU that was taken from a program that could be preempted.
inline constexpr u32 kSpareVcpus = 256;

inline bool take_vcpu(Vcpu& cpu, u32 tid) {
  u32 free = 0;
  if (!__atomic_compare_exchange_n(&cpu.owner, &free, tid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return false;
  if (!cpu.seat) return true;
  cpu.seat_is_owners = __atomic_load_n(&cpu.seat->holder, __ATOMIC_RELAXED) == tid;
  if (cpu.seat_is_owners || take_seat(*cpu.seat, tid)) return true;
  __atomic_store_n(&cpu.owner, 0, __ATOMIC_RELEASE);
  return false;
}

inline void release_vcpu(Vcpu& cpu) {
  if (cpu.seat && !cpu.seat_is_owners) leave_seat(*cpu.seat);
  __atomic_store_n(&cpu.owner, 0, __ATOMIC_RELEASE);
}

// One of the spare slots, as CPU `id`: null when none is free.
inline Vcpu* acquire_spare_vcpu(Vcpu* vcpus, u32 count, u32 id, u32 tid, u32 spare = kSpareVcpus) {
  for (u32 slot = count; slot < count + spare; ++slot) {
    if (!take_vcpu(vcpus[slot], tid)) continue;
    vcpus[slot].id = id;
    vcpus[slot].slot = slot;
    return &vcpus[slot];
  }
  return nullptr;
}

// Gives thread `tid` a free slot, looking from `wanted` (the task's real CPU) upwards and around, then among the `spare`
// ones; null when none is free. The caller leaves it with release_vcpu, or the supervisor takes it back from a dead
// thread.
inline Vcpu* acquire_vcpu(Vcpu* vcpus, u32 count, u32 wanted, u32 tid, u32 spare = kSpareVcpus) {
  for (u32 i = 0; i < count; ++i)
    if (Vcpu& cpu = vcpus[(wanted + i) % count]; take_vcpu(cpu, tid)) return &cpu;
  return acquire_spare_vcpu(vcpus, count, wanted % count, tid, spare);
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

// SPDX-License-Identifier: Apache-2.0
// What threads share. Address space, thread group and thread are three objects, because clone() combines them freely.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "emu/ports/host.h"
#include "loader/memory_worker.h"

namespace bpfemu {

class TracedTask;

// One address space (the kernel's mm): shared by the threads of a process, by a vfork child and its parent, by
// CLONE_VM processes; replaced by exec.
struct Memory {
  u64 id = 0;                      // never reused
  bool may_wait = false;           // some page there may have to come from a process (see memory_worker.h)
  std::unique_ptr<MemoryWorker> worker;
  bool patched = false;            // it decides calls by itself (decider.h)
  bool compat = false;             // a 32-bit program: no remote calls there
  u64 vdso = 0;                    // address of its vDSO, 0: none
  std::vector<u64> scratch_pages;  // every page that we mapped there
  std::vector<u64> scratch_free;   // those that no thread holds
};

// struct kernel_sigaction as rt_sigaction takes it.
struct SignalAction {
  u64 handler = 0, flags = 0, restorer = 0, mask = 0;
};

struct Process {
  pid_t tgid = 0;
  pid_t parent = 0;  // the thread that forked it, 0: nobody we know of
  std::shared_ptr<Memory> memory;
  SyscallSet own_calls;                  // what this process alone is traced for (TraceWhen::kRings, kWriters)
  // Signals as the program set them: our own stops, and faults of our own code, reset them.
  SignalAction trap_action, sys_action, segv_action, bus_action;
  bool asks_always = false;              // decides nothing by itself (decider.h), whatever it executes
  bool dying = false;                    // it was sent a signal that ends it (kernel: SIGNAL_GROUP_EXIT)
  u64 signals_reported = 0;              // sent since EventSink was told, bit by bit, and not delivered yet
  u64 signals_blocked = 0;               // the same of those that were blocked then: no effect of theirs was foreseen
  std::vector<TracedTask*> threads;
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Who owns SIGTRAP stops: breakpoints. The tracer tells it what becomes of threads and address spaces and asks it
// whose a trap is.
#pragma once

#include <functional>
#include <optional>

#include "emu/ports/task.h"
#include "loader/patches.h"

namespace bpfemu {

class TrapHandler {
 public:
  virtual ~TrapHandler() = default;

  // How it may learn whether access to a thread's memory may wait for a process (Memory::may_wait).
  virtual void on_memory(std::function<bool(pid_t)> /*may_wait*/) {}
  virtual void task_started(pid_t /*tid*/) {}  // the first one, after its exec
  // One whose parent has gone before it could tell of it: what was done to the parent's memory is in its own.
  virtual void task_adopted(pid_t tid) { task_started(tid); }
  // `shares_memory`: the child lives in the parent's address space (CLONE_VM).
  virtual void task_cloned(pid_t /*parent*/, pid_t /*child*/, bool /*shares_memory*/) {}
  virtual void task_executed(pid_t /*tid*/, pid_t /*old_tid*/) {}
  virtual void task_gone(pid_t /*tid*/) {}
  // A file was mapped with such a PROT_ that wants_mapping() says so.
  virtual void mappings_changed(pid_t /*tid*/) {}
  virtual bool wants_mapping(pid_t /*tid*/, u64 /*protection*/) const { return false; }

  // The thread ran into an int3 (rip is one past it). True: it was ours, registers are set to go on, and the signal is
  // dropped; the tracer puts the program's SIGTRAP handler and mask back.
  virtual bool trapped(Task&) { return false; }
  // Another signal is about to be delivered: rip may have to be mapped back first. `fault`: the instruction that the
  // thread stands at raised it.
  virtual void before_signal(Task&, bool /*fault*/) {}
  // Is the thread about to run an instruction out of line, which a single step completes?
  virtual bool steps_out(Task&) { return false; }
  // What a process may decide by itself (decider.h). The call at which the thread has stopped was the kernel's: true
  // when it has been at so many stops (`hot`) that its site is worth patching.
  virtual bool grew_hot(Task&, u32 /*hot*/) { return false; }
  virtual PatchResult decide_inside(Task&, const DecisionData&) { return PatchResult::kOtherForm; }
  // The thread's program is about to begin in the ELF image at `image`: may it decide calls from then on? Then how many
  // of its sites are patched, and
  // the thread has registers that lead to its beginning by way of code of ours; empty: it begins as ever.
  virtual bool may_begin(Task&, u64 /*image*/) { return false; }
  virtual std::optional<u64> begin_inside(Task&, const PathTable&) { return {}; }
  // Patches what its forked children would have patched: how many sites.
  virtual u64 decide_wanted(Task&, const DecisionData&) { return 0; }
  // Does anybody want breakpoints anywhere, and so be told of mappings? `call`: when the first one does.
  virtual bool any_sites() const { return false; }
  virtual void on_first_site(std::function<void()> /*call*/) {}
  // Does the thread stand in code of ours? Its registers then say where its program is.
  virtual StubSide leave_stub(pid_t /*tid*/, PtRegs&) { return StubSide::kOutside; }
  // Where a thread that stands before its call at `call` makes it without deciding.
  virtual u64 asks(pid_t /*tid*/, u64 call) { return call; }
  // What the image sees of the arena, if the thread's address space has one, is what there is.
  virtual void see_inside(Task&, const InsideView&) {}
  // The thread runs programs (StubSide::kRunning, with that stack): it makes its call at the site when they have run. False:
  // it changes a map, and parts when it has.
  virtual bool let_leave(pid_t /*tid*/, u64 /*rsp*/) { return true; }
  // Registers of such a thread: as its program has them.
  virtual void show_program(pid_t /*tid*/, PtRegs&) {}
  // All calls of the thread's address space stop again, for good.
  virtual void ask_always(pid_t /*tid*/) {}

  // Puts the program's own bytes back over our breakpoints in a copy of its memory.
  virtual void mask(pid_t /*tid*/, u64 /*address*/, void* /*bytes*/, size_t /*size*/) const {}
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Breakpoints as the model asks for them (ports/sites.h), placed in every address space that maps the file, and what
// happens when a thread runs into one.
#pragma once

#include <map>
#include <memory>
#include <unordered_map>

#include "emu/ports/event_sink.h"
#include "loader/address_space.h"
#include "loader/return_stack.h"
#include "loader/traps.h"

namespace bpfemu {

class Breakpoints : public Sites, public TrapHandler {
 public:
  // Who is told of hits; set once the model exists.
  void set_sink(EventSink* sink) { sink_ = sink; }

  Result<Id> arm(const std::string& path, FileId file, u64 offset) override;
  void disarm(Id id) override;
  Result<void> on_return(Task& task, Id id, u64 cookie) override;

  // From the tracer. `thread`: the child shares the parent's memory (CLONE_VM).
  void task_started(pid_t tid) override;  // the first one, after its exec
  void task_cloned(pid_t parent, pid_t child, bool shares_memory) override;
  void task_executed(pid_t tid, pid_t old_tid) override;
  void task_gone(pid_t tid) override;
  // New executable mappings may exist in the thread's address space.
  void mappings_changed(pid_t tid) override;
  bool wants_mappings() const override { return !sites_.empty(); }

  // A SIGTRAP of an int3 (rip is one past it). True when it was ours: registers are set to go on, the signal is
  // dropped.
  bool trapped(Task& task) override;
  // A signal is about to be delivered: a thread inside a slot is put back where the program believes it to be.
  void before_signal(Task& task) override;
  // Hides breakpoints in bytes read from the thread's memory.
  void mask(pid_t tid, u64 address, void* bytes, size_t size) const override;

 private:
  struct Site {
    FileId file;
    u64 offset;
    u32 users;
  };
  // What a signal interrupted between a hit and the execution of the instruction: this hit must not count again.
  struct Resumption {
    u64 address, stack;
  };
  struct Thread {
    std::shared_ptr<AddressSpace> space;
    ReturnStack returns;
    std::vector<Resumption> resumptions;
  };

  void place(AddressSpace& space, Id id, const Site& site);
  void place_all(AddressSpace& space);
  void hit(Task& task, Thread& thread, u64 address, Breakpoint& breakpoint);
  bool step_over(Task& task, Thread& thread, u64 address, Breakpoint& breakpoint);
  void returned(Task& task, Thread& thread);
  bool resumes(Thread& thread, u64 address, u64 stack);

  EventSink* sink_ = nullptr;
  Id last_id_ = 0;
  std::map<Id, Site> sites_;
  std::unordered_map<pid_t, Thread> threads_;
};

}  // namespace bpfemu

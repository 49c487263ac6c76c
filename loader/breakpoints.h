// SPDX-License-Identifier: Apache-2.0
// Breakpoints as the model asks for them (ports/sites.h), placed in every address space that maps the file, and what
// happens when a thread runs into one.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
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

  Result<Id> add(const UserPlace& place) override;
  void drop(Id id) override;
  Result<void> apply(Id id) override;
  void withdraw(Id id) override;
  Result<void> on_return(Task& task, Id id, u64 cookie) override;

  // From the tracer. `thread`: the child shares the parent's memory (CLONE_VM).
  void task_started(pid_t tid) override;  // the first one, after its exec
  void task_adopted(pid_t tid) override;
  void on_memory(std::function<bool(pid_t)> may_wait) override { files_.may_wait = std::move(may_wait); }
  void task_cloned(pid_t parent, pid_t child, bool shares_memory) override;
  void task_executed(pid_t tid, pid_t old_tid) override;
  void task_gone(pid_t tid) override;
  // New executable mappings may exist in the thread's address space.
  void mappings_changed(pid_t tid) override;
  bool wants_mapping(pid_t tid, u64 protection) const override;

  // A SIGTRAP of an int3 (rip is one past it). True when it was ours: registers are set to go on, the signal is
  // dropped.
  bool trapped(Task& task) override;
  // A signal is about to be delivered: a thread inside a slot is put back where the program believes it to be.
  void before_signal(Task& task, bool fault) override;
  bool steps_out(Task& task) override;
  bool grew_hot(Task& task, u32 hot) override;
  PatchResult decide_inside(Task& task, const DecisionData& data) override;
  bool may_begin(Task& task, u64 image) override;
  std::optional<u64> begin_inside(Task& task, const PathTable& table) override;
  u64 decide_wanted(Task& task, const DecisionData& data) override;
  bool any_sites() const override { return !sites_.empty(); }
  void on_first_site(std::function<void()> call) override { first_site_ = std::move(call); }
  u64 asks(pid_t tid, u64 call) override;
  StubSide leave_stub(pid_t tid, PtRegs& regs) override;
  void see_inside(Task& task, const InsideView& view) override;
  bool let_leave(pid_t tid, u64 rsp) override;
  void show_program(pid_t tid, PtRegs& regs) override;
  void ask_always(pid_t tid) override;
  // Hides breakpoints in bytes read from the thread's memory.
  void mask(pid_t tid, u64 address, void* bytes, size_t size) const override;

 private:
  // Something came between a hit and the execution of the instruction: this hit must not count again.
  struct Resumption {
    u64 address, stack;
    u32 touches;  // how often the thread was sent to access its stack
  };
  struct Thread {
    std::shared_ptr<AddressSpace> space;
    ReturnStack returns;
    std::vector<Resumption> resumptions;
    u64 slot = 0;  // where it was sent last: it may be in there still, and in no other
  };

  AddressSpace* space_of(pid_t tid) const;
  std::set<AddressSpace*> spaces() const;
  void move_in(pid_t tid, Thread thread);
  void move_out(pid_t tid);
  bool wanted_in(Id id, const AddressSpace& space) const;
  static bool is_mapped(AddressSpace& space, const Site& site, u64 address);
  Result<void> place(AddressSpace& space, Id id, const Site& site);
  void place_all(AddressSpace& space);
  void take_out(AddressSpace& space, Id id);
  void lose(AddressSpace& space, Id id, Errno error);
  void hit(Task& task, Thread& thread, u64 address, Breakpoint& breakpoint);
  Result<void> step_over(Task& task, Thread& thread, u64 address, u32 touches);
  Result<void> send(Task& task, Thread& thread, u64 address, bool touch);
  void returned(Task& task, Thread& thread);
  std::optional<Resumption> resumes(Thread& thread, u64 address, u64 stack);
  bool is_inside(const AddressSpace& space, u64 slot) const;

  EventSink* sink_ = nullptr;
  Id last_id_ = 0;
  MemoryFiles files_;
  std::map<Id, Site> sites_;
  FirstSites first_sites_;
  std::function<void()> first_site_ = [] {};
  std::unordered_map<pid_t, Thread> threads_;
};

}  // namespace bpfemu

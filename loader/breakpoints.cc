// SPDX-License-Identifier: Apache-2.0
#include "loader/breakpoints.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "loader/proc_files.h"

namespace bpfemu {

namespace {

// So often a call is left to make its stack accessible itself. After that nobody can emulate it.
constexpr u32 kTouches = 4;

// The call that the thread has come to.
MadeCall call_of(Task& task) {
  return {task.regs().rip, static_cast<u32>(task.regs().orig_rax)};
}

}  // namespace

Result<Sites::Id> Breakpoints::add(const UserPlace& place) {
  for (auto& [id, site] : sites_) {
    if (site.place.file != place.file || site.place.offset != place.offset) continue;
    if (site.place.ref_ctr_offset != place.ref_ctr_offset) return fail(EINVAL);
    ++site.users;
    return id;
  }
  const Id id = ++last_id_;
  sites_.emplace(id, Site{place, 1});
  if (sites_.size() == 1) first_site_();
  return id;
}

void Breakpoints::drop(Id id) {
  const auto it = sites_.find(id);
  if (it == sites_.end() || --it->second.users > 0) return;
  const Site site = std::move(it->second);
  sites_.erase(it);
  for (AddressSpace* space : spaces())
    if (space->has(id)) space->remove(id, site);
}

Result<void> Breakpoints::apply(Id id) {
  const auto site = sites_.find(id);
  if (site == sites_.end()) return fail(ENOENT);
  for (AddressSpace* space : spaces()) {
    if (!wanted_in(id, *space)) continue;
    const Result<void> read = space->refresh();
    if (read) {
      TRY(place(*space, id, site->second));
    } else if (read.error().value != ESRCH) {
      lose(*space, id, read.error());
    }
  }
  return {};
}

void Breakpoints::withdraw(Id id) {
  for (AddressSpace* space : spaces())
    if (space->has(id) && !wanted_in(id, *space)) take_out(*space, id);
}

std::set<AddressSpace*> Breakpoints::spaces() const {
  std::set<AddressSpace*> seen;
  for (const auto& [tid, thread] : threads_) seen.insert(thread.space.get());
  return seen;
}

bool Breakpoints::wanted_in(Id id, const AddressSpace& space) const {
  const std::vector<pid_t>& threads = space.memory().threads();
  return std::any_of(threads.begin(), threads.end(), [&](pid_t tid) { return sink_->site_wanted(id, tid); });
}

// Still: a process that runs may have ended, or changed its mappings, under our hands.
bool Breakpoints::is_mapped(AddressSpace& space, const Site& site, u64 address) {
  if (!space.refresh()) return false;
  const std::vector<u64> places = space.places_of(site.place);
  return std::find(places.begin(), places.end(), address) != places.end();
}

// The kernel's verdict is the only error; where nothing but our own means fail, hits are lost, aloud.
Result<void> Breakpoints::place(AddressSpace& space, Id id, const Site& site) {
  for (u64 address : space.places_of(site.place)) {
    if (space.memory().compat()) {
      sink_->site_lost(id, "32-bit programs");
      return {};
    }
    if (!site.place.code.empty()) TRY(check_probed(site.place.code));
    const Result<void> done = space.insert(address, id, site);
    if (!done && is_mapped(space, site, address)) lose(space, id, done.error());
  }
  return {};
}

void Breakpoints::place_all(AddressSpace& space) {
  if (sites_.empty()) return;
  const Result<void> read = space.refresh();
  for (const auto& [id, site] : sites_) {
    if (!read && read.error().value != ESRCH && wanted_in(id, space)) lose(space, id, read.error());
    if (read && !space.places_of(site.place).empty() && wanted_in(id, space)) (void)place(space, id, site);
  }
  if (read) space.count_awaited(sites_);
}

void Breakpoints::take_out(AddressSpace& space, Id id) {
  const auto site = sites_.find(id);
  if (site != sites_.end() && space.has(id)) space.remove(id, site->second);
}

void Breakpoints::lose(AddressSpace& space, Id id, Errno error) {
  take_out(space, id);
  if (error.value == ESRCH) return;
  sink_->site_lost(id, std::strerror(error.value));
}

void Breakpoints::move_in(pid_t tid, Thread thread) {
  move_out(tid);
  threads_[tid] = std::move(thread);
}

void Breakpoints::move_out(pid_t tid) {
  const auto it = threads_.find(tid);
  if (it == threads_.end()) return;
  it->second.space->memory().leave(tid);
  threads_.erase(it);
}

void Breakpoints::task_started(pid_t tid) {
  const auto space = std::make_shared<AddressSpace>(files_, tid);
  move_in(tid, Thread{space, {}, {}});
  place_all(*space);
}

void Breakpoints::task_adopted(pid_t tid) {
  const auto space = std::make_shared<AddressSpace>(files_, tid);
  space->patches().disown(space->memory());
  move_in(tid, Thread{space, {}, {}});
  place_all(*space);
}

void Breakpoints::task_cloned(pid_t parent, pid_t child, bool shares_memory) {
  const auto it = threads_.find(parent);
  if (it == threads_.end()) return task_started(child);
  Thread copy{it->second.space, {}, {}, it->second.slot};
  if (shares_memory) {
    copy.space->memory().join(child);
  } else {
    copy.space = it->second.space->fork_copy(child);
    copy.space->set_origin(it->second.space);
    copy.returns = it->second.returns;
    copy.resumptions = it->second.resumptions;
  }
  move_in(child, std::move(copy));
}

void Breakpoints::task_executed(pid_t tid, pid_t old_tid) {
  move_out(old_tid);
  task_started(tid);
}

void Breakpoints::task_gone(pid_t tid) {
  move_out(tid);
}

void Breakpoints::mappings_changed(pid_t tid) {
  const auto it = threads_.find(tid);
  if (it != threads_.end()) place_all(*it->second.space);
}

bool Breakpoints::wants_mapping(pid_t tid, u64 protection) const {
  if (sites_.empty()) return false;
  if (protection & PROT_EXEC) return true;
  const auto it = threads_.find(tid);
  return (protection & PROT_WRITE) && it != threads_.end() && it->second.space->awaits_data();
}

bool Breakpoints::trapped(Task& task) {
  const auto it = threads_.find(task.tid());
  if (it == threads_.end()) return false;
  Thread& thread = it->second;
  AddressSpace& space = *thread.space;
  PtRegs& regs = task.regs();
  if (space.patches().start_failed()) return true;
  const u64 address = regs.rip - 1;
  thread.slot = 0;
  if (space.slots().is_return_trampoline(address)) {
    returned(task, thread);
    return true;
  }
  if (!space.find(address) && !space.removed_lately(address)) place_all(space);  // mremap
  if (Breakpoint* const breakpoint = space.find(address)) {
    hit(task, thread, address, *breakpoint);
    return true;
  }
  if (!space.removed_lately(address) && !space.patches().was_patching(space.memory(), address)) return false;
  regs.rip = address;
  return true;
}

void Breakpoints::hit(Task& task, Thread& thread, u64 address, Breakpoint& breakpoint) {
  PtRegs& regs = task.regs();
  AddressSpace& space = *thread.space;
  const Id id = breakpoint.site;
  regs.rip = address;
  const std::optional<Resumption> resumption = resumes(thread, address, regs.rsp);
  // Nobody wants it here: a child of the process that is listened to (kernel: UPROBE_HANDLER_REMOVE).
  if (!resumption && !sink_->site_hit(task, id, regs)) take_out(space, id);
  // It runs in its own place then: better to lose the probe than the process.
  const Result<void> stepped = step_over(task, thread, address, resumption ? resumption->touches : 0);
  if (!stepped) lose(space, id, stepped.error());
}

Result<void> Breakpoints::step_over(Task& task, Thread& thread, u64 address, u32 touches) {
  // The programs may have detached themselves from this very place: then the instruction is its own again.
  const Breakpoint* const breakpoint = thread.space->find(address);
  if (!breakpoint) return {};
  const StepPlan plan = breakpoint->plan;  // while the stack's page is waited for, others may detach, too
  if (plan.kind == StepPlan::Kind::kOutOfLine) return send(task, thread, address, false);
  const Result<void> emulated = emulate(plan, task, task.regs());
  if (emulated || emulated.error().value != EFAULT || touches >= kTouches) return emulated;
  TRY(send(task, thread, address, true));
  thread.resumptions.push_back({address, task.regs().rsp, touches + 1});
  return {};
}

Result<void> Breakpoints::send(Task& task, Thread& thread, u64 address, bool touch) {
  Breakpoint* const breakpoint = thread.space->find(address);
  if (!breakpoint) return {};
  const auto inside = [&](u64 slot) { return is_inside(*thread.space, slot); };
  thread.slot = TRY(thread.space->slot_for(task, address, *breakpoint, touch, inside));
  task.regs().rip = thread.slot;
  return {};
}

// A thread in a system call says where it will go on; where one is that runs nobody knows.
bool Breakpoints::is_inside(const AddressSpace& space, u64 slot) const {
  const std::vector<pid_t>& threads = space.memory().threads();
  return std::any_of(threads.begin(), threads.end(), [&](pid_t tid) {
    const auto thread = threads_.find(tid);
    if (thread == threads_.end() || thread->second.slot != slot) return false;
    const u64 rip = read_resume_address(tid).value_or(0);
    return rip == 0 || rip - slot < kSlotSize;
  });
}

std::optional<Breakpoints::Resumption> Breakpoints::resumes(Thread& thread, u64 address, u64 stack) {
  std::erase_if(thread.resumptions, [&](const Resumption& r) { return r.stack < stack; });  // left by a longjmp
  const auto it = std::find_if(thread.resumptions.begin(), thread.resumptions.end(),
                               [&](const Resumption& r) { return r.address == address && r.stack == stack; });
  if (it == thread.resumptions.end()) return std::nullopt;
  const Resumption found = *it;
  thread.resumptions.erase(it);
  return found;
}

Result<void> Breakpoints::on_return(Task& task, Id id, u64 cookie) {
  const auto it = threads_.find(task.tid());
  if (it == threads_.end()) return fail(ESRCH);
  Thread& thread = it->second;
  const PtRegs& regs = task.regs();
  u64 return_address = 0;
  TRY(task.read(regs.rsp, &return_address, 8));
  // A tail-called function finds the trampoline in the slot already; otherwise an entry of this very slot is a
  // left-over.
  const bool chained = thread.space->slots().is_return_trampoline(return_address);
  thread.returns.forget_dead(chained ? regs.rsp : regs.rsp + 1);
  if (thread.returns.full()) return fail(EAGAIN);
  AddressSpace& space = *thread.space;
  const u64 trampoline = TRY(space.slots().return_trampoline(task, space.memory(), regs.rip));
  if (chained) {
    const ReturnInstance* const outer = thread.returns.top();
    if (!outer) return fail(EFAULT);  // kernel: "possible stack corruption"
    return_address = outer->return_address;
  } else {
    TRY(task.write(regs.rsp, &trampoline, 8));
  }
  thread.returns.push({id, cookie, regs.rsp, return_address});
  return {};
}

void Breakpoints::returned(Task& task, Thread& thread) {
  PtRegs& regs = task.regs();
  const auto instances = thread.returns.take_returned(regs.rsp);
  if (instances.empty()) return;  // a stray jump: goes on into the filler and dies of its own SIGTRAP
  regs.rip = instances.back().return_address;
  for (const ReturnInstance& instance : instances) sink_->function_returned(task, instance.cookie, regs);
}

void Breakpoints::before_signal(Task& task, bool fault) {
  const auto it = threads_.find(task.tid());
  if (it == threads_.end()) return;
  Thread& thread = it->second;
  PtRegs& regs = task.regs();
  thread.slot = 0;
  const std::optional<SlotPlace> place = thread.space->slots().place_of(regs.rip);
  if (!place) return;
  regs.rip = place->resume;
  regs.rsp += place->popped;
  if (place->executed) return;
  // The instruction's own fault: as in the kernel, what runs into it again counts again.
  if (place->touch && fault) (void)resumes(thread, place->address, regs.rsp);
  if (!place->touch && !fault) thread.resumptions.push_back({place->address, regs.rsp, 0});
}

bool Breakpoints::steps_out(Task& task) {
  const auto it = threads_.find(task.tid());
  if (it == threads_.end()) return false;
  const std::optional<SlotPlace> place = it->second.space->slots().place_of(task.regs().rip);
  return place && !place->executed && !place->touch && place->one_step;
}

AddressSpace* Breakpoints::space_of(pid_t tid) const {
  const auto it = threads_.find(tid);
  return it == threads_.end() ? nullptr : it->second.space.get();
}

bool Breakpoints::grew_hot(Task& task, u32 hot) {
  AddressSpace* const space = space_of(task.tid());
  if (!space) return false;
  const MadeCall call = call_of(task);
  space->learn(call);
  return space->counts(call, hot);
}

PatchResult Breakpoints::decide_inside(Task& task, const DecisionData& data) {
  AddressSpace* const space = space_of(task.tid());
  return space ? space->patch(task, call_of(task), data) : PatchResult::kBusy;
}

bool Breakpoints::may_begin(Task& task, u64 image) {
  AddressSpace* const space = space_of(task.tid());
  return space && space->find_first(image, task.regs().rip, first_sites_);
}

std::optional<u64> Breakpoints::begin_inside(Task& task, const PathTable& table) {
  return space_of(task.tid())->begin(task, table);
}

u64 Breakpoints::decide_wanted(Task& task, const DecisionData& data) {
  AddressSpace* const space = space_of(task.tid());
  u64 patched = 0;
  if (!space) return 0;
  for (const MadeCall& call : space->patches().take_wanted())
    patched += space->patch(task, call, data) == PatchResult::kPatched;
  return patched;
}

StubSide Breakpoints::leave_stub(pid_t tid, PtRegs& regs) {
  AddressSpace* const space = space_of(tid);
  if (space && space->patches().leave_start(space->memory(), regs)) return StubSide::kOutside;
  return space ? space->patches().leave(space->memory(), regs) : StubSide::kOutside;
}

u64 Breakpoints::asks(pid_t tid, u64 call) {
  AddressSpace* const space = space_of(tid);
  return space ? space->patches().asks(call) : call;
}

void Breakpoints::see_inside(Task& task, const InsideView& view) {
  if (AddressSpace* const space = space_of(task.tid())) space->patches().see(task, space->memory(), view);
}

bool Breakpoints::let_leave(pid_t tid, u64 rsp) {
  AddressSpace* const space = space_of(tid);
  return space && space->patches().inside().let_leave(space->memory(), rsp);
}

void Breakpoints::show_program(pid_t tid, PtRegs& regs) {
  AddressSpace* const space = space_of(tid);
  if (!space) return;
  space->patches().inside().show(space->memory(), regs);
  (void)space->patches().leave(space->memory(), regs);
}

void Breakpoints::ask_always(pid_t tid) {
  if (AddressSpace* const space = space_of(tid)) space->patches().release_all(space->memory());
}

void Breakpoints::mask(pid_t tid, u64 address, void* bytes, size_t size) const {
  const auto it = threads_.find(tid);
  if (it != threads_.end()) it->second.space->mask(address, bytes, size);
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "loader/breakpoints.h"

#include <algorithm>
#include <set>

namespace bpfemu {

Result<Sites::Id> Breakpoints::arm(const std::string& /*path*/, FileId file, u64 offset) {
  for (auto& [id, site] : sites_) {
    if (site.file == file && site.offset == offset) {
      ++site.users;
      return id;
    }
  }
  const Id id = ++last_id_;
  const Site& site = sites_.emplace(id, Site{file, offset, 1}).first->second;
  std::set<AddressSpace*> seen;
  for (auto& [tid, thread] : threads_) {
    if (!seen.insert(thread.space.get()).second) continue;
    thread.space->refresh();
    place(*thread.space, id, site);
  }
  return id;
}

void Breakpoints::disarm(Id id) {
  const auto it = sites_.find(id);
  if (it == sites_.end() || --it->second.users > 0) return;
  sites_.erase(it);
  std::set<AddressSpace*> seen;
  for (auto& [tid, thread] : threads_)
    if (seen.insert(thread.space.get()).second) thread.space->remove(id);
}

void Breakpoints::place(AddressSpace& space, Id id, const Site& site) {
  for (const TextMapping& m : space.mappings()) {
    if (m.file != site.file || site.offset < m.offset || site.offset - m.offset >= m.end - m.start) continue;
    // A process in which it cannot be placed goes without, as in the kernel when install_breakpoint fails.
    (void)space.insert(m.start + (site.offset - m.offset), id);
  }
}

void Breakpoints::place_all(AddressSpace& space) {
  if (sites_.empty()) return;
  space.refresh();
  for (const auto& [id, site] : sites_) place(space, id, site);
}

void Breakpoints::task_started(pid_t tid) {
  Thread& thread = threads_[tid];
  thread = Thread{std::make_shared<AddressSpace>(tid), {}, {}};
  place_all(*thread.space);
}

void Breakpoints::task_cloned(pid_t parent, pid_t child, bool shares_memory) {
  const auto it = threads_.find(parent);
  if (it == threads_.end()) return task_started(child);
  Thread copy{it->second.space, {}, {}};
  if (!shares_memory) {
    copy.space = copy.space->fork_copy(child);
    copy.returns = it->second.returns;
    copy.resumptions = it->second.resumptions;
  }
  threads_[child] = std::move(copy);
}

void Breakpoints::task_executed(pid_t tid, pid_t old_tid) {
  threads_.erase(old_tid);
  task_started(tid);
}

void Breakpoints::task_gone(pid_t tid) {
  threads_.erase(tid);
}

void Breakpoints::mappings_changed(pid_t tid) {
  const auto it = threads_.find(tid);
  if (it != threads_.end()) place_all(*it->second.space);
}

bool Breakpoints::trapped(Task& task) {
  const auto it = threads_.find(task.tid());
  if (it == threads_.end()) return false;
  Thread& thread = it->second;
  PtRegs& regs = task.regs();
  const u64 address = regs.rip - 1;
  if (thread.space->is_return_trampoline(address)) {
    returned(task, thread);
    return true;
  }
  if (!thread.space->find(address) && !thread.space->removed_lately(address)) place_all(*thread.space);  // mremap
  if (Breakpoint* const breakpoint = thread.space->find(address)) {
    hit(task, thread, address, *breakpoint);
    return true;
  }
  if (!thread.space->removed_lately(address)) return false;
  regs.rip = address;
  return true;
}

void Breakpoints::hit(Task& task, Thread& thread, u64 address, Breakpoint& breakpoint) {
  PtRegs& regs = task.regs();
  regs.rip = address;
  if (!resumes(thread, address, regs.rsp)) sink_->site_hit(task, breakpoint.site, regs);
  // The programs may have detached themselves from this very place: then the instruction is its own again.
  Breakpoint* const still = thread.space->find(address);
  if (!still) return;
  // An instruction that faults, or finds no slot, runs in its own place: better to lose the probe than the process.
  if (!step_over(task, thread, address, *still)) thread.space->remove(still->site);
}

bool Breakpoints::step_over(Task& task, Thread& thread, u64 address, Breakpoint& breakpoint) {
  if (breakpoint.plan.kind != StepPlan::Kind::kOutOfLine)
    return emulate(breakpoint.plan, task, task.regs()).has_value();
  const auto slot = thread.space->slot_for(task, address, breakpoint);
  if (slot) task.regs().rip = *slot;
  return slot.has_value();
}

bool Breakpoints::resumes(Thread& thread, u64 address, u64 stack) {
  std::erase_if(thread.resumptions, [&](const Resumption& r) { return r.stack < stack; });  // left by a longjmp
  const auto it = std::find_if(thread.resumptions.begin(), thread.resumptions.end(),
                               [&](const Resumption& r) { return r.address == address && r.stack == stack; });
  if (it == thread.resumptions.end()) return false;
  thread.resumptions.erase(it);
  return true;
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
  const bool chained = thread.space->is_return_trampoline(return_address);
  thread.returns.forget_dead(chained ? regs.rsp : regs.rsp + 1);
  if (thread.returns.full()) return fail(EAGAIN);
  const u64 trampoline = TRY(thread.space->return_trampoline(task, regs.rip));
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

void Breakpoints::before_signal(Task& task) {
  const auto it = threads_.find(task.tid());
  if (it == threads_.end()) return;
  Thread& thread = it->second;
  PtRegs& regs = task.regs();
  bool executed = false;
  const u64 address = thread.space->address_of_slot(regs.rip, &executed);
  if (address == 0) return;
  const Breakpoint* const breakpoint = thread.space->find(address);
  regs.rip = address;
  if (executed && breakpoint) regs.rip += breakpoint->plan.length;
  if (!executed) thread.resumptions.push_back({address, regs.rsp});
}

void Breakpoints::mask(pid_t tid, u64 address, void* bytes, size_t size) const {
  const auto it = threads_.find(tid);
  if (it != threads_.end()) it->second.space->mask(address, bytes, size);
}

}  // namespace bpfemu

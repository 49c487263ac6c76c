// SPDX-License-Identifier: Apache-2.0
#include "loader/task_table.h"

namespace bpfemu {

TracedTask* TaskTable::find(pid_t tid) const {
  const auto it = tasks_.find(tid);
  return it == tasks_.end() ? nullptr : it->second.get();
}

std::vector<std::shared_ptr<Process>> TaskTable::processes() const {
  std::vector<std::shared_ptr<Process>> all;
  for (const auto& [tid, task] : tasks_)
    if (task->process().threads.front() == task.get()) all.push_back(task->shared_process());
  return all;
}

std::vector<pid_t> TaskTable::threads() const {
  std::vector<pid_t> tids;
  for (const auto& [tid, task] : tasks_) tids.push_back(tid);
  return tids;
}

std::vector<pid_t> TaskTable::thread_groups() const {
  std::vector<pid_t> groups;
  for (const auto& process : processes()) groups.push_back(process->tgid);
  return groups;
}

std::shared_ptr<Memory> TaskTable::new_memory() {
  auto memory = std::make_shared<Memory>();
  memory->id = ++last_memory_;
  return memory;
}

TracedTask& TaskTable::add(pid_t tid, std::shared_ptr<Process> process) {
  // A number that is used again belongs to a new thread, whatever became of the old one.
  tasks_.erase(tid);
  return *tasks_.emplace(tid, std::make_unique<TracedTask>(env_, tid, std::move(process))).first->second;
}

TracedTask& TaskTable::add_first(pid_t pid) {
  auto process = std::make_shared<Process>();
  process->tgid = pid;
  process->memory = new_memory();
  return add(pid, std::move(process));
}

TracedTask& TaskTable::add_thread(TracedTask& creator, pid_t tid) {
  return add(tid, creator.shared_process());
}

TracedTask& TaskTable::add_process(TracedTask& creator, pid_t pid, bool shares_memory) {
  auto process = std::make_shared<Process>();
  process->tgid = pid;
  process->own_calls = creator.process().own_calls;
  process->trap_action = creator.process().trap_action;
  process->sys_action = creator.process().sys_action;
  process->segv_action = creator.process().segv_action;
  process->bus_action = creator.process().bus_action;
  process->asks_always = creator.process().asks_always;
  process->memory = creator.process().memory;
  if (!shares_memory) {
    const Memory& from = creator.memory();
    process->memory = new_memory();
    process->memory->compat = from.compat;
    process->memory->patched = from.patched;
    process->memory->vdso = from.vdso;
    process->memory->may_wait = from.may_wait;
    process->memory->scratch_pages = process->memory->scratch_free = from.scratch_pages;
  }
  return add(pid, std::move(process));
}

void TaskTable::remove(pid_t tid) {
  tasks_.erase(tid);
}

void TaskTable::parent_died(pid_t tgid) {
  for (const auto& [tid, task] : tasks_)
    if (task->facts.parent_tgid == tgid) task->facts_fresh = false;
}

std::vector<pid_t> TaskTable::keep_only(TracedTask& task, pid_t old_tid) {
  if (TracedTask* old = find(old_tid); old && old != &task) {
    task.traced = old->traced;
    task.pending = old->pending;
    task.own_cpus = old->own_cpus;
  }
  std::vector<pid_t> vanished;
  for (TracedTask* sibling : task.process().threads)
    if (sibling != &task) vanished.push_back(sibling->tid());
  for (pid_t tid : vanished) tasks_.erase(tid);
  return vanished;
}

}  // namespace bpfemu

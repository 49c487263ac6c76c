// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/uprobe_filter.h"

#include <algorithm>

namespace bpfemu {

bool UprobeFilter::covers(u64 memory, Host& host) const {
  if (!everyone_.empty()) return true;
  return memory != 0 && std::ranges::any_of(targets_, [&](const Target& target) {
           const Task* task = target.tid ? host.find_task(target.tid) : nullptr;
           return task && task->memory_id() == memory;
         });
}

bool UprobeFilter::add(const void* listener, pid_t tid, bool inherit, Host& host) {
  if (tid == -1) {
    everyone_.push_back(listener);
    return everyone_.size() > 1;
  }
  const Task* task = host.find_task(tid);
  const bool covered = task && covers(task->memory_id(), host);
  targets_.push_back({listener, tid, inherit});
  return covered;
}

void UprobeFilter::remove(const void* listener) {
  std::erase(everyone_, listener);
  std::erase_if(targets_, [&](const Target& target) { return target.listener == listener; });
}

void UprobeFilter::forked(pid_t parent, pid_t child) {
  const std::vector<Target> before = targets_;
  for (const Target& target : before) {
    if (target.inherit && target.tid == parent) targets_.push_back({target.listener, child, true});
  }
}

// The thread that executes takes the place of its thread group's leader, which is gone.
void UprobeFilter::executed(pid_t tid, pid_t old_tid) {
  if (tid == old_tid) return;
  gone(tid);
  for (Target& target : targets_) {
    if (target.tid == old_tid) target.tid = tid;
  }
}

void UprobeFilter::gone(pid_t tid) {
  for (Target& target : targets_) {
    if (target.tid == tid) target.tid = 0;
  }
}

}  // namespace bpfemu

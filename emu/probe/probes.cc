// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/probes.h"

#include <algorithm>

namespace bpfemu {

namespace {

// Puts a point where the event passes it: by depth, and among equals behind (kprobes: before) those already there.
void insert(std::vector<Point*>& points, Point& point, bool inwards) {
  auto rank = [&](const Point* p) { return inwards ? int(p->where().depth) : -int(p->where().depth); };
  bool first = point.where().newest_first;
  auto before = [&](const Point* p) { return first ? rank(p) >= rank(&point) : rank(p) > rank(&point); };
  points.insert(std::ranges::find_if(points, before), &point);
}

template <class Lists>
void for_each_syscall(const SyscallSet& syscalls, Lists& lists, auto&& change) {
  for (size_t number = 0; number < kSyscallLimit; ++number) {
    if (syscalls[number]) change(lists[number]);
  }
}

}  // namespace

Probes::Probes(const Parts& parts, Outlets outlets)
    : parts_(parts), runner_(parts.arena, parts.host, parts.unmodelled, std::move(outlets)) {}

Probes::~Probes() = default;

void Probes::add(Point& point) {
  const Point::Where& where = point.where();
  switch (where.moment) {
    case Moment::kNever: return;
    case Moment::kSyscallEnter:
      return for_each_syscall(where.syscalls, entered_, [&](Points& points) { insert(points, point, true); });
    case Moment::kSyscallExit:
      return for_each_syscall(where.syscalls, exited_, [&](Points& points) { insert(points, point, false); });
    case Moment::kSite: return insert(sites_hit_[where.site], point, true);
    case Moment::kSiteReturn: return insert(sites_returned_[where.site], point, true);
    default: return insert(others_[where.moment], point, true);
  }
}

void Probes::remove(Point& point) {
  const Point::Where& where = point.where();
  auto take = [&](Points& points) { std::erase(points, &point); };
  for_each_syscall(where.syscalls, entered_, take);
  for_each_syscall(where.syscalls, exited_, take);
  for (auto& [moment, points] : others_) take(points);
  take(sites_hit_[where.site]);
  take(sites_returned_[where.site]);
  if (sites_hit_[where.site].empty() && sites_returned_[where.site].empty()) {
    sites_hit_.erase(where.site);
    sites_returned_.erase(where.site);
  }
  inherited.erase(&point);
  programs_changed();
}

void Probes::programs_changed() {
  SyscallSet entry, exit;
  auto wanted = [](const Points& points) {
    return std::ranges::any_of(points, [](const Point* point) { return !point->programs().empty(); });
  };
  for (size_t number = 0; number < kSyscallLimit; ++number) {
    entry[number] = wanted(entered_[number]);
    exit[number] = wanted(exited_[number]);
  }
  bool signals = wanted(others_[Moment::kSignal]);
  if (signals != std::exchange(wanted_signals_, signals)) parts_.host.want_signals(signals);
  if (entry == wanted_entry_ && exit == wanted_exit_) return;
  wanted_entry_ = entry;
  wanted_exit_ = exit;
  parts_.host.want_syscalls(entry, exit);
}

void Probes::fire(const Point& point, const Event& event) {
  if (point.programs().empty()) return;
  RunScope scope(runner_, event.task, event.regs, point.needs());
  if (!scope) return;
  void* context = point.where().context(*this, event, point, scope.context_memory());
  if (!context) return;
  for (const Attachment& each : point.programs()) {
    scope.call(*each.program, context, each.cookie, point.where().address);
  }
}

void Probes::fire_all(const Points& points, const Event& event) {
  for (const Point* point : points) fire(*point, event);
}

void Probes::syscall_entered(Task& task, PtRegs& regs, long number) {
  if (number < 0 || size_t(number) >= kSyscallLimit) return;
  fire_all(entered_[number], Event{.task = &task, .regs = &regs, .number = number});
}

void Probes::syscall_exited(Task& task, PtRegs& regs, long number, s64 result) {
  if (number < 0 || size_t(number) >= kSyscallLimit) return;
  fire_all(exited_[number], Event{.task = &task, .regs = &regs, .number = number, .result = result});
}

void Probes::task_forked(Task& parent, pid_t child, bool thread) {
  if (!thread) {
    for (Point* point : inherited) {
      if (std::ranges::count(point->thread_groups, parent.tgid())) point->thread_groups.push_back(child);
    }
  }
  fire_all(others_[Moment::kFork], Event{.task = &parent, .regs = &parent.regs(), .other = child});
}

void Probes::task_executed(Task& task, pid_t old_tid, const std::string& path) {
  runner_.forget(old_tid);
  runner_.forget(task.tid());
  fire_all(others_[Moment::kExec], Event{.task = &task, .regs = &task.regs(), .other = old_tid, .text = path.c_str()});
}

void Probes::task_exiting(Task& task, int status) {
  fire_all(others_[Moment::kExit], Event{.task = &task, .regs = &task.regs(), .result = status});
}

void Probes::task_gone(pid_t tid) {
  runner_.forget(tid);
}

void Probes::signal_generated(Task& task, int signal, int error, int code, const char* comm, pid_t target, bool group,
                              int result) {
  fire_all(others_[Moment::kSignal], Event{.task = &task,
                                           .regs = &task.regs(),
                                           .other = target,
                                           .text = comm,
                                           .signal = signal,
                                           .error = error,
                                           .code = code,
                                           .outcome = result,
                                           .group = group});
}

// kernel: uprobe_perf_filter goes by address space; here thread groups stand for them.
bool Probes::concerns(const Point& point, const Task& task) {
  return point.thread_groups.empty() || std::ranges::count(point.thread_groups, task.tgid());
}

void Probes::site_hit(Task& task, Sites::Id site, PtRegs& regs) {
  Event event{.task = &task, .regs = &regs};
  if (auto hit = sites_hit_.find(site); hit != sites_hit_.end()) {
    for (const Point* point : hit->second) {
      if (concerns(*point, task)) fire(*point, event);
    }
  }
  auto returned = sites_returned_.find(site);
  if (returned == sites_returned_.end()) return;
  auto awaited = [&](const Point* point) { return !point->programs().empty() && concerns(*point, task); };
  if (std::ranges::none_of(returned->second, awaited)) return;
  auto replaced = parts_.sites.on_return(task, site, site);
  // Too deeply nested: the kernel has the same limit.
  if (!replaced && replaced.error().value != EAGAIN) {
    parts_.unmodelled.note("uretprobe whose return address cannot be replaced");
  }
}

void Probes::function_returned(Task& task, u64 cookie, PtRegs& regs) {
  auto returned = sites_returned_.find(cookie);
  if (returned == sites_returned_.end()) return;
  for (const Point* point : returned->second) {
    if (concerns(*point, task)) fire(*point, Event{.task = &task, .regs = &regs});
  }
}

}  // namespace bpfemu

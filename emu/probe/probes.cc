// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/probes.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "emu/probe/perf_event.h"

namespace bpfemu {

namespace {

// Puts a point where the event passes it: by depth, and among equals behind (kprobes: before) those already there.
void insert(std::vector<Point*>& points, Point& point, bool inwards) {
  auto rank = [&](const Point* p) { return inwards ? int(p->where().depth) : -int(p->where().depth); };
  bool first = point.where().newest_first;
  auto before = [&](const Point* p) { return first ? rank(p) >= rank(&point) : rank(p) > rank(&point); };
  points.insert(std::ranges::find_if(points, before), &point);
}

// The system call that the thread is in, -1: none.
long call_of(Task& task) {
  return static_cast<long>(task.regs().orig_rax);
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
  points_.insert(&point);
  const Point::Where& where = point.where();
  if (!where.tracepoint.empty()) listeners_.emplace(where.tracepoint, where.listener);
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
  points_.erase(&point);
  ++changes_;
  const Point::Where& where = point.where();
  auto take = [&](Points& points) { std::erase(points, &point); };
  if (auto listener = listeners_.find({where.tracepoint, where.listener}); listener != listeners_.end()) {
    listeners_.erase(listener);
  }
  for_each_syscall(where.syscalls, entered_, take);
  for_each_syscall(where.syscalls, exited_, take);
  for (auto& [moment, points] : others_) take(points);
  take(sites_hit_[where.site]);
  take(sites_returned_[where.site]);
  if (sites_hit_[where.site].empty() && sites_returned_[where.site].empty()) {
    sites_hit_.erase(where.site);
    sites_returned_.erase(where.site);
  }
  targeted_.erase(&point);
  programs_changed();
}

void Probes::programs_changed() {
  ++changes_;
  SyscallSet entry, exit;
  auto wanted = [](const Points& points) {
    return std::ranges::any_of(points, &Point::watched);
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
  if (point.where().hits) ++*point.where().hits;
  if (!point.awaited()) return;
  const u64 unchanged = changes_;
  const auto gone = [&] { return changes_ != unchanged && !points_.contains(&point); };
  RunScope scope(runner_, event.task, event.regs, point.needs());
  if (!scope || gone()) return;
  scope.set_at_site(point.where().moment == Moment::kSite);
  void* context = point.where().context(*this, event, point, scope.context_memory());
  if (!context || gone()) return;
  scope.at(point, event, points_);
  bool passes = true;
  // A program that stands aside may find everything changed: the list is the one that the event met, the point may be gone.
  const u64 func_ip = point.where().within ? 0 : point.where().address;
  const std::vector<Attachment> programs = point.programs();
  for (const Attachment& each : programs) passes &= scope.call(*each.program, context, each.cookie, func_ip) != 0;
  if (!passes || !event.task || gone()) return;
  // The newest first (kernel: perf_trace_add). A sample counts its group, whose programs may stand aside.
  PerfEvent::Held counters;
  for (PerfEvent* each : std::views::reverse(point.counters())) {
    if (auto alive = each->weak_from_this().lock()) counters.push_back(std::move(alive));
  }
  for (const auto& each : counters) each->hit(scope, context);
}

// Those that the event meets; one that goes while it passes is left out.
void Probes::pass(const Points& list, const std::function<void(const Point&)>& call) {
  const u64 unchanged = changes_;
  const Points points = list;
  for (const Point* point : points)
    if (changes_ == unchanged || points_.contains(point)) call(*point);
}

void Probes::for_each_perf_event(const std::function<void(PerfEvent&)>& call) {
  PerfEvent::Held events;
  for (auto& [id, event] : perf_events) {
    if (auto alive = event->weak_from_this().lock()) events.push_back(std::move(alive));
  }
  for (const auto& each : events) call(*each);
}

u32 Probes::listeners(std::string_view tracepoint) const {
  auto count = [&](Listener as) { return static_cast<u32>(listeners_.count({tracepoint, as})); };
  return std::min(count(Listener::kEvents), 1u) + std::min(count(Listener::kSyscallEvents), 1u) + count(Listener::kRaw);
}

void Probes::fire_all(const Points& points, const Event& event) {
  pass(points, [&](const Point& point) { fire(point, event); });
}

void Probes::syscall_entered(Task& task, PtRegs& regs, long number) {
  if (number < 0 || size_t(number) >= kSyscallLimit) return;
  fire_all(entered_[number], Event{.task = &task, .regs = &regs, .number = number});
}

void Probes::syscall_exited(Task& task, PtRegs& regs, long number, s64 result) {
  if (number < 0 || size_t(number) >= kSyscallLimit) return;
  pass(exited_[number], [&](const Point& point) {
    // Kretprobes and fexit programs take hold of a return when the function is entered.
    if (point.where().on_return && !task.entry_seen()) return;
    fire(point, Event{.task = &task, .regs = &regs, .number = number, .result = result});
  });
}

void Probes::task_forked(Task& parent, pid_t child, bool thread) {
  for_each_perf_event([&](PerfEvent& each) { each.task_forked(parent.tid(), child, thread); });
  for (Point* point : targeted_) point->filter.forked(parent.tid(), child);
  fire_all(others_[Moment::kFork],
           Event{.task = &parent, .regs = &parent.regs(), .number = call_of(parent), .other = child});
}

void Probes::task_executed(Task& task, pid_t old_tid, const std::string& filename) {
  runner_.forget(old_tid);
  runner_.forget(task.tid());
  for (Point* point : targeted_) point->filter.executed(task.tid(), old_tid);
  for_each_perf_event([&](PerfEvent& each) { each.task_executed(old_tid, task.tid()); });
  // The new program's registers say execve whatever the call was; only execveat gives such names.
  const long number = filename.starts_with("/dev/fd/") ? SYS_execveat : call_of(task);
  fire_all(others_[Moment::kExec],
           Event{.task = &task, .regs = &task.regs(), .number = number, .other = old_tid, .text = filename.c_str()});
}

void Probes::task_exiting(Task& task, int status) {
  fire_all(others_[Moment::kExit],
           Event{.task = &task, .regs = &task.regs(), .number = call_of(task), .result = status});
  for_each_perf_event([&](PerfEvent& each) { each.task_exiting(task); });
}

void Probes::task_gone(pid_t tid) {
  for (Point* point : targeted_) point->filter.gone(tid);
  runner_.forget(tid);
}

void Probes::signal_generated(Task* sender, const GeneratedSignal& signal) {
  fire_all(others_[Moment::kSignal], Event{.task = sender,
                                           .regs = sender ? &sender->regs() : nullptr,
                                           .number = sender ? call_of(*sender) : -1,
                                           .result = signal.status,
                                           .other = signal.target,
                                           .text = signal.comm.c_str(),
                                           .signal = signal.signal,
                                           .error = signal.error,
                                           .code = signal.code,
                                           .outcome = signal.outcome,
                                           .group = signal.group,
                                           .origin = signal.origin});
}

void Probes::filter_changed(Point& point) {
  if (point.filter.targeted()) {
    targeted_.insert(&point);
  } else {
    targeted_.erase(&point);
  }
}

bool Probes::concerns(const Point& point, const Task& task) {
  return point.filter.covers(task.memory_id(), host());
}

const Probes::Points& Probes::points_of(Sites::Id site, bool on_return) const {
  static const Points none;
  const auto& lists = on_return ? sites_returned_ : sites_hit_;
  const auto points = lists.find(site);
  return points == lists.end() ? none : points->second;
}

bool Probes::site_wanted(Sites::Id site, pid_t tid) {
  const Task* task = host().find_task(tid);
  auto concerned = [&](const Point* point) { return task && concerns(*point, *task); };
  return std::ranges::any_of(points_of(site, false), concerned) ||
         std::ranges::any_of(points_of(site, true), concerned);
}

void Probes::site_lost(Sites::Id site, const char* why) {
  const Points& points = points_of(site, points_of(site, false).empty());
  if (points.empty()) return;
  const Point::Where& where = points.front()->where();
  unmodelled().note(fmt::format("uprobe {}:{:#x} in a process: {}", where.name, where.offset, why));
}

bool Probes::site_hit(Task& task, Sites::Id site, PtRegs& regs) {
  bool wanted = false, returns = false;
  pass(points_of(site, false), [&](const Point& point) {
    if (!concerns(point, task)) return;
    wanted = true;
    fire(point, Event{.task = &task, .regs = &regs});
  });
  for (const Point* point : points_of(site, true)) {
    wanted = wanted || concerns(*point, task);
    returns = returns || point->watched();
  }
  if (!wanted || !returns) return wanted;
  auto replaced = parts_.sites.on_return(task, site, site);
  // Too deeply nested: the kernel has the same limit.
  if (!replaced && replaced.error().value != EAGAIN) {
    parts_.unmodelled.note("uretprobe whose return address cannot be replaced");
  }
  return true;
}

// Once a function is known to return, all who wait for returns hear of it, whomever they are for (kernel:
// uretprobe_dispatcher does not ask the filter).
void Probes::function_returned(Task& task, u64 cookie, PtRegs& regs) {
  pass(points_of(cookie, true), [&](const Point& point) { fire(point, Event{.task = &task, .regs = &regs}); });
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/probes.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "emu/hook/life.h"
#include "emu/hook/socket_parts.h"
#include "emu/hook/test_functions.h"
#include "emu/probe/event_record.h"
#include "emu/probe/event_tracer.h"
#include "emu/probe/perf_event.h"

namespace bpfemu {

namespace {

// Puts a point where the event passes it: by depth, and among equals behind (kprobes: before) those already there. The
// trampoline of fentry and fexit programs is jumped to when ftrace's callbacks, which kprobes are, have returned; at a
// return it is the other way round.
void insert(std::vector<Point*>& points, Point& point, bool inwards) {
  auto rank = [&](const Point* p) {
    const bool comes_back = inwards && p->where().on_return;
    const int depth = 2 * int(p->where().depth) + ((p->where().probe == Point::Probe::kNone) != comes_back);
    return inwards ? depth : -depth;
  };
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
    : parts_(parts),
      runner_(parts.arena, parts.host, parts.unmodelled, with_functions(std::move(outlets))),
      memory_(parts.arena),
      sockets_(parts.objects, &parts.kernel.symbols()),
      socket_watch_(*this, services_),
      services_{.host = parts.host,
                .unmodelled = parts.unmodelled,
                .kernel = parts.kernel,
                .objects = parts.objects,
                .mounts = parts.mounts,
                .files = parts.files,
                .memory = memory_,
                .sockets = sockets_,
                .socket_watch = socket_watch_,
                .sleepers = sleepers_,
                .thread_words = thread_words_,
                .socket_ops = parts.socket_ops,
                .task_struct = [this](pid_t tid) { return runner_.task_struct(tid); },
                .task_struct_of = [this](const TaskFacts& facts) { return runner_.task_struct_of(facts); },
                .show_name = [this](pid_t tid, const auto& name) { runner_.show_name(tid, name); }},
      transits_(*this, services_),
      apart_(parts.arena, points_) {
  if (parts.switches) tracer_ = std::make_unique<EventTracer>(*this, *parts.switches, parts.dynamic_events);
}

// The points of the tracer leave the registry while there is one.
Probes::~Probes() { tracer_.reset(); }

void Probes::add(Point& point) {
  points_.insert(&point);
  ++points_made_;
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
    case Moment::kHook: return insert(of(where.hook, Side::kEntry).points, point, true);
    case Moment::kHookModify: return insert(of(where.hook, Side::kModify).points, point, true);
    case Moment::kHookModule: return insert(of(where.hook, Side::kModule).points, point, true);
    case Moment::kHookReturn: return insert(of(where.hook, Side::kReturn).points, point, true);
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
  for (auto& sides : hooks_)
    for (Listeners& listeners : sides) take(listeners.points);
  take(sites_hit_[where.site]);
  take(sites_returned_[where.site]);
  if (sites_hit_[where.site].empty() && sites_returned_[where.site].empty()) {
    sites_hit_.erase(where.site);
    sites_returned_.erase(where.site);
  }
  targeted_.erase(&point);
  programs_changed();
}

void Probes::change_at_once(const std::function<void()>& changes) {
  ++held_;
  changes();
  if (--held_ == 0) programs_changed();
}

void Probes::programs_changed() {
  ++changes_;
  if (held_) return;
  SyscallSet entry, exit;
  auto wanted = [](const Points& points) {
    return std::ranges::any_of(points, &Point::watched);
  };
  for (size_t number = 0; number < kSyscallLimit; ++number) {
    entry[number] = wanted(entered_[number]);
    exit[number] = wanted(exited_[number]);
  }
  refresh_hooks(entry, exit);
  refresh_functions();
  sideband_.events_changed();
  entry |= sideband_.changing_calls();
  exit |= sideband_.calls();
  const bool signals = awaited(Hook::trace_signal_generate, Side::kEntry) || awaits_deliveries() ||
                       awaited(Hook::do_send_sig_info, Side::kEntry) || awaited(Hook::do_send_sig_info, Side::kReturn);
  if (signals != std::exchange(wanted_signals_, signals)) parts_.host.want_signals(signals);
  tell_apart(entry, exit);
  if (entry == wanted_entry_ && exit == wanted_exit_) return;
  wanted_entry_ = entry;
  wanted_exit_ = exit;
  parts_.host.want_syscalls(entry, exit);
}

// What processes may run by themselves: what the supervisor has nothing to do with but by way of them.
void Probes::tell_apart(const SyscallSet& entry, const SyscallSet& exit) {
  SyscallSet stops = exit | hooked_ | sideband_.changing_calls() | sideband_.calls() | parts_.answered;
  if (runner_.stats_users != 0 || runner_.listened) stops.set();
  apart_.changed(entered_, entry, stops);
}

// The path of a call is told from its beginning, whichever of its hooks is listened to.
void Probes::refresh_hooks(SyscallSet& entry, SyscallSet& exit) {
  hooked_.reset();
  for (size_t n = 0; n < kHooks; ++n) {
    const Hook hook = static_cast<Hook>(n);
    for (Side side : {Side::kEntry, Side::kModify, Side::kModule, Side::kReturn}) {
      Listeners& listeners = of(hook, side);
      listeners.awaited = std::ranges::any_of(listeners.points, &Point::watched);
      listeners.looked_at = 0;
      for (const Point* point : listeners.points) listeners.looked_at |= point->looked_at();
      if (!listeners.awaited) continue;
      const HookRow& row = row_of(hook);
      hooked_ |= row.calls;
      exit |= side == Side::kReturn ? row.calls : row.exits();
    }
  }
  if (parts_.socket_ops && parts_.socket_ops->used()) {
    const SyscallSet& calls = row_of(Hook::tcp_rcv_established).calls;  // all that TCP does something for
    hooked_ |= calls;
    exit |= calls;
  }
  entry |= hooked_;
}

Arguments::Mask Probes::looked_at(Hook hook) const {
  Arguments::Mask mask = 0;
  for (const Listeners& side : hooks_[static_cast<size_t>(hook)]) mask |= side.looked_at;
  return mask;
}

// kernel: invoke_bpf_mod_ret. Programs at a hook without a result answer nothing.
u64 Probes::asked(Hook hook, Side side, const Event& event) {
  u64 answer = 0;
  pass(of(hook, side).points, [&](const Point& point) {
    if (answer) return;
    const bool decides = point.where().decides;
    const u64 said = fire(point, event);
    if (decides) answer = said;
  });
  return answer;
}

// Who listens to a return took hold of it at the entry.
void Probes::passed(Hook hook, Side side, const Event& event) {
  pass(of(hook, side).points, [&](const Point& point) {
    if (point.serial() < event.listeners) fire(point, event);
  });
}

// What programs, samples and lines of the trace show of the task.
ProgramNeeds Probes::needs_at(const Point& point) {
  if (point.where().runs || std::ranges::any_of(point.programs(), [](const Attachment& each) { return each.program->is_hooked(); }))
    return ProgramNeeds::everything();
  ProgramNeeds needs = point.needs();
  if (point.traced()) needs.cpu = needs.comm = true;
  for (const PerfEvent* each : point.counters()) {
    if (each->attr().sample_period == 0 && !each->filtered()) continue;  // it only counts
    needs.cpu = true;
    needs.comm |= point.where().dynamic != nullptr;
    needs.cgroup |= (each->attr().sample_type & PERF_SAMPLE_CGROUP) != 0;
  }
  return needs;
}

u64 Probes::fire(const Point& point, const Event& event) {
  if (point.where().hits) ++*point.where().hits;
  if (!point.awaited()) return 0;
  const u64 unchanged = changes_;
  const auto gone = [&] { return changes_ != unchanged && !points_.contains(&point); };
  RunScope scope(runner_, event.task, event.regs, needs_at(point), event.cpu, event.within);
  if (!scope || gone()) return 0;
  if (event.time) scope.set_happened(event.time);
  scope.set_at_site(point.where().moment == Moment::kSite);
  void* context = point.where().context(*this, event, point, scope.context_memory());
  if (!context || gone()) return 0;
  scope.at(point, event, points_);
  EventRecord record(*this, scope, point, event, context);
  if (point.traced()) tracer_->record(scope, point, event, record);
  if (gone()) return 0;
  bool passes = true;
  u64 result = 0;
  // A program that stands aside may find everything changed: the list is the one that the event met, the point may be gone.
  const u64 func_ip = point.where().within ? 0 : point.where().address;
  if (const auto runs = point.where().runs) return runs(scope, event, context);
  const std::vector<Attachment> programs = point.programs();
  for (const Attachment& each : programs) {
    result = scope.admits(*each.program) ? scope.call(*each.program, context, each.cookie, func_ip) : 0;
    passes &= result != 0;
  }
  if (!passes || !event.task || gone()) return result;
  // The newest first (kernel: perf_trace_add). A sample counts its group, whose programs may stand aside.
  PerfEvent::Held counters;
  for (PerfEvent* each : std::views::reverse(point.counters())) {
    if (auto alive = each->weak_from_this().lock()) counters.push_back(std::move(alive));
  }
  for (const auto& each : counters) each->hit(scope, record);
  return result;
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

u32 Probes::listeners_of(std::string_view tracepoint) const {
  auto count = [&](Listener as) { return static_cast<u32>(listeners_.count({tracepoint, as})); };
  return std::min(count(Listener::kEvents), 1u) + std::min(count(Listener::kSyscallEvents), 1u) + count(Listener::kRaw);
}

void Probes::fire_all(const Points& points, const Event& event) {
  pass(points, [&](const Point& point) { fire(point, event); });
}

std::optional<s64> Probes::syscall_entered(Task& task, PtRegs& regs, long number) {
  const size_t place = place_of_call(number);
  fire_all(entered_[place], Event{.task = &task, .regs = &regs, .number = number});
  if (sideband_.calls()[place] && sideband_.changing_calls()[place]) sideband_.call_begins(task, regs, number);
  return hooked_[place] ? transits_.begin(task, regs, number) : std::nullopt;
}

s64 Probes::syscall_exited(Task& task, PtRegs& regs, long number, s64 result) {
  const size_t place = place_of_call(number);
  const s64 told = transits_.end(task, regs, number, result);
  if (told != result) regs.rax = static_cast<u64>(result = told);
  if (sideband_.calls()[place]) sideband_.call_done(task, regs, number, result);
  pass(exited_[place], [&](const Point& point) {
    // Kretprobes and fexit programs take hold of a return when the function is entered.
    if (point.where().on_return && !task.entry_seen()) return;
    fire(point, Event{.task = &task, .regs = &regs, .number = number, .result = result});
  });
  transits_.leave(task);
  return result;
}

void Probes::task_forked(Task& parent, pid_t child, bool thread) {
  for_each_perf_event([&](PerfEvent& each) { each.task_forked(parent.tid(), child, thread); });
  for (Point* point : targeted_) point->filter.forked(parent.tid(), child);
  watches_.changed();
  sideband_.forked(parent, child);
  if (tracer_) tracer_->forked(parent.tid(), child);
  Occasion occasion(*this, services_, Event{.task = &parent, .regs = &parent.regs(), .number = parent.call_number()});
  pass_fork(occasion, child);
}

void Probes::task_executed(Task& task, pid_t old_tid, const std::string& filename) {
  runner_.forget(old_tid);
  runner_.forget(task.tid());
  for (Point* point : targeted_) point->filter.executed(task.tid(), old_tid);
  for (const pid_t tid : {old_tid, task.tid()}) watches_.forget(tid);
  for_each_perf_event([&](PerfEvent& each) { each.task_executed(old_tid, task.tid()); });
  watches_.changed();
  sideband_.executed(task);
  transits_.renamed(old_tid, task.tid());
  sleepers_.forget(old_tid);
  sleepers_.forget(task.tid());
  for (const pid_t tid : {old_tid, task.tid()}) (void)thread_words_.take(tid);
  // The new program's registers say execve whatever the call was; only execveat gives such names.
  const long number = filename.starts_with("/dev/fd/") ? SYS_execveat : task.call_number();
  Occasion occasion(*this, services_, Event{.task = &task, .regs = &task.regs(), .number = number});
  pass_exec(occasion, old_tid, filename, transits_.caller_facts(task.tid()));
}

void Probes::task_exiting(Task& task, int status) {
  Occasion occasion(*this, services_,
                    Event{.task = &task, .regs = &task.regs(), .number = task.call_number(), .result = status});
  // The task's perf events go before its memory, and before the others hear of it (kernel: do_exit).
  sideband_.exiting(task);
  for_each_perf_event([&](PerfEvent& each) { each.task_exiting(task); });
  pass_exit(occasion);
  if (occasion.awaited(Hook::exit_creds)) ending_[task.tid()] = services_.task_struct(task.tid());
  close_sockets_at_exit(occasion);
  if (parts_.socket_ops && task.tid() == task.tgid()) parts_.socket_ops->process_ends(task);
  if (tracer_) tracer_->exited(task.tid());
}

u64 Probes::entry_of(const Point& point, const Task& task) const {
  const auto entry = entered_at_.find({task.tid(), point.where().site});
  return entry == entered_at_.end() ? 0 : entry->second;
}

void Probes::task_gone(pid_t tid) {
  std::erase_if(entered_at_, [=](const auto& entry) { return entry.first.first == tid; });
  for (Point* point : targeted_) point->filter.gone(tid);
  watches_.forget(tid);
  transits_.forget(tid);
  sleepers_.forget(tid);
  (void)thread_words_.take(tid);
  runner_.forget(tid);
  parts_.arena.free_seats(static_cast<u32>(tid));
  const auto ending = ending_.extract(tid);
  if (!ending || !ending.mapped()) return;
  Occasion occasion(*this, services_, Event{});
  pass_release(occasion, ending.mapped());
}

void Probes::signal_generated(Task* sender, const GeneratedSignal& signal) {
  Occasion occasion(*this, services_,
                    Event{.task = sender,
                          .regs = sender ? &sender->regs() : nullptr,
                          .number = sender ? sender->call_number() : -1,
                          .result = signal.status,
                          .signal = signal.signal,
                          .code = signal.code,
                          .origin = signal.origin});
  pass_signal(occasion, signal);
}

void Probes::signal_delivered(Task& task, PtRegs& regs, const DeliveredSignal& signal) {
  Occasion occasion(*this, services_,
                    Event{.task = &task,
                          .regs = &regs,
                          .number = task.call_number(),
                          .signal = signal.signal,
                          .code = signal.code});
  pass_delivery(occasion, signal);
}

void Probes::call_test_functions(Task& task, bool modified) {
  Occasion occasion(*this, services_, Event{.task = &task, .regs = &task.regs(), .number = task.call_number()});
  modified ? pass_modify_return_test(occasion) : pass_fentry_tests(occasion);
}

void Probes::pass(Task& task, const std::function<void(Occasion&)>& tell) {
  Occasion occasion(*this, services_, Event{.task = &task, .regs = &task.regs(), .number = task.call_number()});
  tell(occasion);
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
  entered_at_[{task.tid(), site}] = regs.rip;
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

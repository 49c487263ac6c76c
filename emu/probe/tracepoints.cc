// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/tracepoints.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "emu/hook/functions.h"
#include "emu/hook/record.h"
#include "emu/kernel/kprobe_places.h"
#include "emu/kernel/syscall_names.h"
#include "emu/probe/contexts.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

constexpr u64 kCounterSize = 2;  // a uprobe's reference counter is a short

// What every system call comes by, beside the per-call events of `syscalls`.
struct CallEvent {
  std::string_view system, name;
  Moment moment;
  ContextBuilder record, args;
};
constexpr CallEvent kCallEvents[] = {
    {"raw_syscalls", "sys_enter", Moment::kSyscallEnter, sys_enter_record, sys_enter_args},
    {"raw_syscalls", "sys_exit", Moment::kSyscallExit, sys_exit_record, sys_exit_args},
};
constexpr u32 kCallEventArguments = 2;

const CallEvent* find_call_event(std::string_view name) {
  const auto found = std::ranges::find(kCallEvents, name, &CallEvent::name);
  return found == std::end(kCallEvents) ? nullptr : found;
}

// A tracepoint that the model passes, as its trace event and as raw programs get it. None: it does not.
std::optional<Point::Where> place(std::string_view name, bool raw) {
  Point::Where where{.name = std::string(name)};
  if (raw) where.listener = Listener::kRaw;
  if (const CallEvent* event = find_call_event(name)) {
    where.moment = event->moment;
    where.syscalls.set();
    where.context = raw ? event->args : event->record;
    where.tracepoint = event->name;
  } else if (const HookRow* row = find_tracepoint_hook(name)) {
    where.moment = Moment::kHook;
    where.hook = hook_of(*row);
    where.context = raw ? hook_args : hook_record;
    where.tracepoint = row->name;
  } else {
    return std::nullopt;
  }
  if (raw) where.record_size = static_cast<u32>(Probes::tracepoint_arguments(name) * sizeof(u64));
  return where;
}

// syscalls:sys_enter_NAME and sys_exit_NAME.
Result<Point::Where> syscall_event(const TraceEvent& event) {
  constexpr std::string_view enter = "sys_enter_", exit = "sys_exit_";
  bool entering = event.name.starts_with(enter);
  const SyscallName* call = syscall_by_entry(event.name.substr(entering ? enter.size() : exit.size()));
  if (!call) return fail(EINVAL);
  Point::Where where{.moment = entering ? Moment::kSyscallEnter : Moment::kSyscallExit,
                     .context = entering ? sys_enter_record : sys_exit_record,
                     .name = std::string(event.name),
                     .listener = Listener::kSyscallEvents,
                     .tracepoint = entering ? "sys_enter" : "sys_exit"};
  where.syscalls.set(call->number);
  return where;
}

bool same_system(std::string_view system, std::string_view name) {
  if (const CallEvent* event = find_call_event(name)) return event->system == system;
  const HookRow* row = find_tracepoint_hook(name);
  return row && row->system == system;
}

// The records of tracers: of them only that of the function tracer can be opened (kernel: perf_trace_event_perm,
// ftrace_event_reg).
bool is_tracers_own(const TraceEvent& event) { return event.system == "ftrace" && event.name != "function"; }

Result<Point::Where> kernel_event(const TraceEvent& event) {
  Result<Point::Where> where = fail(EINVAL);
  if (event.system == "syscalls") {
    where = syscall_event(event);
  } else if (same_system(event.system, event.name)) {
    where = *place(event.name, false);
  } else if (is_tracers_own(event)) {
    return fail(EINVAL);
  } else {
    where = Point::Where{.name = std::string(event.name),
                         .missing = Point::Missing{"tracepoint", fmt::format("{}:{}", event.system, event.name)}};
  }
  if (!where) return where;
  where->event_id = event.id;
  where->layout = std::make_shared<RecordLayout>(event.format);
  where->record_size = where->layout->size();
  return where;
}

// A kprobe at an address where one can be; 0: of a module that is not loaded.
Result<std::unique_ptr<Point>> kernel_point(Probes& probes, std::string_view symbol, u64 offset, u64 address,
                                            bool on_return, u64* hits, const DynamicProbe* dynamic = nullptr) {
  Point::Where where{.dynamic = dynamic,
                     .address = address,
                     .probe = Point::Probe::kKernel,
                     .on_return = on_return,
                     .name = std::string(symbol),
                     .offset = offset,
                     .newest_first = true,
                     .hits = hits};
  if (address) {
    KernelPlace place = kernel_place(probes.kernel().symbols(), address);
    const KernelFunction* function = function_at(place);
    if (!function) {
      where.missing = Point::Missing{"kprobe", std::string(place.names.empty() ? symbol : place.names[0])};
      return std::make_unique<Point>(probes, std::move(where));
    }
    if (place.names[0].starts_with("__ia32_")) probes.unmodelled().note("events of 32-bit system calls");
    put_on_way(where, *function);
    where.context = on_return ? kernel_return_regs : kernel_entry_regs;
    where.within = !place.at_entry();
  }
  return std::make_unique<Point>(probes, std::move(where));
}

Result<std::unique_ptr<Point>> user_point(Probes& probes, const UserFunction& function, u64* hits,
                                          const DynamicProbe* dynamic = nullptr) {
  TRY(function.file->check_offset(function.offset));
  if (function.ref_ctr_offset % kCounterSize != 0) return fail(EINVAL);
  Sites::Id site = TRY(probes.sites().add({.file = function.file->id(),
                                           .offset = function.offset,
                                           .ref_ctr_offset = function.ref_ctr_offset,
                                           .code = function.file->read(function.offset, kSiteCode)}));
  return std::make_unique<Point>(probes,
                                 Point::Where{.moment = function.on_return ? Moment::kSiteReturn : Moment::kSite,
                                              .context = user_regs,
                                              .dynamic = dynamic,
                                              .probe = Point::Probe::kUser,
                                              .on_return = function.on_return,
                                              .name = function.path,
                                              .offset = function.offset,
                                              .site = site,
                                              .newest_first = true,
                                              .hits = hits});
}

// Where one probe of a dynamic event is.
Result<std::unique_ptr<Point>> place_of(Probes& probes, DynamicProbe& probe) {
  if (!probe.uprobe) {
    return kernel_point(probes, probe.symbol, probe.offset, probe.address, probe.is_return, &probe.hits, &probe);
  }
  return user_point(probes,
                    {.path = probe.path,
                     .file = probe.file,
                     .offset = probe.offset,
                     .ref_ctr_offset = probe.ref_ctr_offset,
                     .on_return = probe.is_return},
                    &probe.hits, &probe);
}

// Probes came or went while the event is open: those that come run what runs at the others.
Result<void> follow(Probes& probes, Point& point, const DynamicEvent& event) {
  std::erase_if(point.places, [&](const auto& place) {
    return std::ranges::none_of(event.probes, [&](const auto& probe) { return probe.get() == place.first; });
  });
  for (const auto& probe : event.probes) {
    if (point.places.contains(probe.get())) continue;
    TRY(point.join(probe.get(), TRY(place_of(probes, *probe))));
  }
  return {};
}

// The event cannot be removed while somebody has it open.
Result<std::shared_ptr<Point>> dynamic_point(Probes& probes, const std::shared_ptr<DynamicEvent>& event) {
  const DynamicProbe& first = *event->probes[0];
  Point::Where where{.event_id = event->id,
                     .address = first.address,
                     .probe = first.uprobe ? Point::Probe::kUser : Point::Probe::kKernel,
                     .on_return = first.is_return,
                     .record_size = event->record_size(),
                     .name = first.uprobe ? first.path : first.symbol,
                     .offset = first.offset};
  ++event->users;
  auto point = std::shared_ptr<Point>(new Point(probes, std::move(where)), [event](Point* gone) {
    event->changed = {};
    --event->users;
    delete gone;
  });
  TRY(follow(probes, *point, *event));
  event->changed = [&probes, &event = *event, &point = *point] { (void)follow(probes, point, event); };
  return point;
}

}  // namespace

// Of several names for one function, that by which calls reach it counts.
const KernelFunction* function_at(const KernelPlace& place) {
  const KernelFunction* found = nullptr;
  for (std::string_view name : place.names) {
    const KernelFunction* function = find_kernel_function(name);
    if (function && (!found || found->syscalls.none())) found = function;
  }
  return found;
}

void put_on_way(Point::Where& where, const KernelFunction& function) {
  where.function = &function;
  if (function.hook) {
    where.hook = hook_of(*function.hook);
    where.moment = where.on_return ? Moment::kHookReturn : Moment::kHook;
    return;
  }
  where.moment = where.on_return ? Moment::kSyscallExit : Moment::kSyscallEnter;
  where.depth = function.level == FunctionLevel::kDispatch ? Depth::kDispatch : Depth::kHandler;
  where.syscalls = function.syscalls;
}

bool can_fire(const TraceEvent& event) { return event.system == "syscalls" || same_system(event.system, event.name); }

u32 Probes::tracepoint_arguments(std::string_view tracepoint) {
  if (find_call_event(tracepoint)) return kCallEventArguments;
  const HookRow* row = find_tracepoint_hook(tracepoint);
  return row ? row->arguments : 0;
}

Result<std::shared_ptr<Point>> tracepoint(Probes& probes, u32 id) {
  if (auto known = probes.by_event_id.find(id); known != probes.by_event_id.end()) {
    if (auto point = known->second.lock()) return point;
  }
  if (const TraceEvent* event = probes.kernel().events().find(id)) {
    Point::Where where = TRY(kernel_event(*event));
    auto point = std::make_shared<Point>(probes, std::move(where));
    probes.by_event_id[id] = point;
    return point;
  }
  auto event = probes.dynamic_events().find(id);
  if (!event) return fail(EINVAL);
  auto point = TRY(dynamic_point(probes, event));
  probes.by_event_id[id] = point;
  return point;
}

Result<Point::Where> raw_tracepoint(Probes& probes, std::string_view name) {
  if (auto where = place(name, true)) return *std::move(where);
  for (const TraceEvent& event : probes.kernel().events().all()) {
    if (event.name == name)
      return Point::Where{.name = std::string(name), .missing = Point::Missing{"raw tracepoint", std::string(name)}};
  }
  return fail(ENOENT);
}

// kernel: perf_kprobe_init, create_local_trace_kprobe.
Result<std::unique_ptr<Point>> kprobe(Probes& probes, std::string_view symbol, u64 address, u64 offset,
                                      bool on_return) {
  const Symbols& symbols = probes.kernel().symbols();
  if (!symbol.empty()) {
    address = symbols.address(symbol);
    if (!address) return fail(ENOENT);
    address += offset;
  }
  if (address == 0) return fail(EINVAL);
  TRY(check_kprobe(probes.kernel(), probes.unmodelled(), address, on_return));
  return kernel_point(probes, symbol, offset, address, on_return, nullptr);
}

Result<std::unique_ptr<Point>> uprobe(Probes& probes, const UserFunction& function) {
  return user_point(probes, function, nullptr);
}

}  // namespace bpfemu

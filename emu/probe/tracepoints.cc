// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/tracepoints.h"

#include <fmt/format.h>

#include <algorithm>

#include "emu/kernel/functions.h"
#include "emu/kernel/kprobe_places.h"
#include "emu/kernel/syscall_names.h"
#include "emu/probe/contexts.h"
#include "emu/probe/probes.h"

namespace bpfemu {

namespace {

constexpr u64 kCounterSize = 2;  // a uprobe's reference counter is a short

// The tracepoints that the model fires, but for the per-call events of `syscalls`.
struct Modelled {
  std::string_view system, name;
  Moment moment;
  ContextBuilder record, args;
  u32 arg_count;
};
constexpr Modelled kModelled[] = {
#define EVENT(system, name, moment, record, args, count) {#system, #name, Moment::moment, record, args, count},
#include "emu/abi/events.inc"
#undef EVENT
};

bool is_syscall_moment(Moment moment) {
  return moment == Moment::kSyscallEnter || moment == Moment::kSyscallExit;
}

Point::Where place(const Modelled& modelled) {
  Point::Where where{.moment = modelled.moment, .name = std::string(modelled.name), .tracepoint = modelled.name};
  if (is_syscall_moment(modelled.moment)) where.syscalls.set();
  return where;
}

// kernel: trace_event_get_offsets.
u32 record_size(const TraceEvent& event) {
  u32 size = 0;
  for (const EventField& field : fields_of(event.format)) size = std::max(size, field.offset + field.size);
  return size;
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

Result<Point::Where> kernel_event(Probes& probes, const TraceEvent& event) {
  if (event.system == "syscalls") return syscall_event(event);
  for (const Modelled& modelled : kModelled) {
    if (event.system != modelled.system || event.name != modelled.name) continue;
    Point::Where where = place(modelled);
    where.context = modelled.record;
    return where;
  }
  probes.unmodelled().note("tracepoint", fmt::format("{}:{}", event.system, event.name));
  return fail(EINVAL);
}

// A kprobe at an address where one can be; 0: of a module that is not loaded.
Result<std::unique_ptr<Point>> kernel_point(Probes& probes, std::string_view symbol, u64 offset, u64 address,
                                            bool on_return, u64* hits) {
  Point::Where where{.address = address,
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
      probes.unmodelled().note("kprobe", place.names.empty() ? symbol : place.names[0]);
      return fail(ENOENT);
    }
    if (place.names[0].starts_with("__ia32_")) probes.unmodelled().note("events of 32-bit system calls");
    where.moment = on_return ? Moment::kSyscallExit : Moment::kSyscallEnter;
    where.depth = depth_of(function->level);
    where.syscalls = function->syscalls;
    where.context = on_return ? kernel_return_regs : kernel_entry_regs;
    where.function = function;
    where.within = !place.at_entry();
  }
  return std::make_unique<Point>(probes, std::move(where));
}

Result<std::unique_ptr<Point>> user_point(Probes& probes, const UserFunction& function, u64* hits) {
  TRY(function.file->check_offset(function.offset));
  if (function.ref_ctr_offset % kCounterSize != 0) return fail(EINVAL);
  Sites::Id site = TRY(probes.sites().add({.file = function.file->id(),
                                           .offset = function.offset,
                                           .ref_ctr_offset = function.ref_ctr_offset,
                                           .code = function.file->read(function.offset, kSiteCode)}));
  return std::make_unique<Point>(probes,
                                 Point::Where{.moment = function.on_return ? Moment::kSiteReturn : Moment::kSite,
                                              .context = user_regs,
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
  if (!probe.uprobe) return kernel_point(probes, probe.symbol, probe.offset, probe.address, probe.is_return, &probe.hits);
  return user_point(probes,
                    {.path = probe.path,
                     .file = probe.file,
                     .offset = probe.offset,
                     .ref_ctr_offset = probe.ref_ctr_offset,
                     .on_return = probe.is_return},
                    &probe.hits);
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
  Point::Where where{.address = first.address,
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

Depth depth_of(FunctionLevel level) {
  return level == FunctionLevel::kDispatch  ? Depth::kDispatch
         : level == FunctionLevel::kHandler ? Depth::kHandler
                                            : Depth::kInner;
}

u32 Probes::tracepoint_arguments(std::string_view tracepoint) {
  auto modelled = std::ranges::find(kModelled, tracepoint, &Modelled::name);
  return modelled == std::end(kModelled) ? 0 : modelled->arg_count;
}

Result<std::shared_ptr<Point>> tracepoint(Probes& probes, u32 id) {
  if (auto known = probes.by_event_id.find(id); known != probes.by_event_id.end()) {
    if (auto point = known->second.lock()) return point;
  }
  if (const TraceEvent* event = probes.kernel().events().find(id)) {
    Point::Where where = TRY(kernel_event(probes, *event));
    where.record_size = record_size(*event);
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
  for (const Modelled& modelled : kModelled) {
    if (name != modelled.name) continue;
    Point::Where where = place(modelled);
    where.context = modelled.args;
    where.listener = Listener::kRaw;
    where.record_size = modelled.arg_count * sizeof(u64);
    return where;
  }
  for (const TraceEvent& event : probes.kernel().events().all()) {
    if (event.name == name) probes.unmodelled().note("raw tracepoint", name);
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

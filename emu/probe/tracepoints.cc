// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/tracepoints.h"

#include <fmt/format.h>

#include "emu/kernel/functions.h"
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
  Point::Where where{.moment = modelled.moment, .name = std::string(modelled.name)};
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
                     .name = std::string(event.name)};
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

Result<std::unique_ptr<Point>> dynamic_point(Probes& probes, const DynamicEvent& event) {
  if (!event.uprobe) return kprobe(probes, event.symbol, event.address, event.offset, event.is_return);
  return uprobe(probes, {.path = event.path,
                         .file = event.file,
                         .offset = event.offset,
                         .ref_ctr_offset = event.ref_ctr_offset,
                         .on_return = event.is_return});
}

Depth depth_of(FunctionLevel level) {
  return level == FunctionLevel::kDispatch  ? Depth::kDispatch
         : level == FunctionLevel::kHandler ? Depth::kHandler
                                            : Depth::kInner;
}

}  // namespace

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
  // The event cannot be removed while somebody has it open.
  auto point = std::shared_ptr<Point>(TRY(dynamic_point(probes, *event)).release(), [event](Point* gone) {
    --event->users;
    delete gone;
  });
  ++event->users;
  probes.by_event_id[id] = point;
  return point;
}

Result<Point::Where> raw_tracepoint(Probes& probes, std::string_view name) {
  for (const Modelled& modelled : kModelled) {
    if (name != modelled.name) continue;
    Point::Where where = place(modelled);
    where.context = modelled.args;
    where.record_size = modelled.arg_count * sizeof(u64);
    return where;
  }
  for (const TraceEvent& event : probes.kernel().events().all()) {
    if (event.name == name) probes.unmodelled().note("raw tracepoint", name);
  }
  return fail(ENOENT);
}

Result<std::unique_ptr<Point>> kprobe(Probes& probes, std::string_view symbol, u64 address, u64 offset,
                                      bool on_return) {
  const Symbols& symbols = probes.kernel().symbols();
  std::string name(symbol);
  u64 start = symbols.address(symbol);
  if (symbol.empty()) {
    const Symbol* at = symbols.at(address);
    if (!at) return fail(EINVAL);
    name = at->name;
    start = at->address;
    offset += address - start;
  }
  const KernelFunction* function = find_kernel_function(name);
  if (start == 0 && !function) return fail(ENOENT);
  if (offset != 0) {
    if (on_return) return fail(EINVAL);
    probes.unmodelled().note("kprobe", fmt::format("{}+{:#x}", name, offset));
    return fail(EILSEQ);
  }
  if (!function) {
    probes.unmodelled().note("kprobe", name);
    return fail(ENOENT);
  }
  return std::make_unique<Point>(probes,
                                 Point::Where{.moment = on_return ? Moment::kSyscallExit : Moment::kSyscallEnter,
                                              .depth = depth_of(function->level),
                                              .syscalls = function->syscalls,
                                              .context = on_return ? kernel_return_regs : kernel_entry_regs,
                                              .function = function,
                                              .address = start,
                                              .probe = Point::Probe::kKernel,
                                              .on_return = on_return,
                                              .name = std::string(symbol),
                                              .newest_first = true});
}

Result<std::unique_ptr<Point>> uprobe(Probes& probes, const UserFunction& function) {
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
                                              .newest_first = true});
}

}  // namespace bpfemu

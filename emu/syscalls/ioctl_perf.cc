// SPDX-License-Identifier: Apache-2.0
// ioctl and mmap of perf events (kernel: _perf_ioctl, perf_mmap).
#include <linux/perf_event.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <functional>

#include "emu/base/bytes.h"
#include "emu/probe/attach.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/map_mmap.h"
#include "emu/syscalls/perf_breakpoint.h"
#include "emu/syscalls/perf_file.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

struct Request {
  System& system;
  Task& task;
  PerfEventFile& file;
  PerfEvent& event;
  u64 arg;
};

// For the event, or with PERF_IOC_FLAG_GROUP for its group (kernel: perf_event_for_each).
Result<u64> each(Request& r, void (PerfEvent::*change)()) {
  if (!(r.arg & PERF_IOC_FLAG_GROUP)) return (r.event.*change)(), 0;
  for (const auto& event : r.event.group()) (event.get()->*change)();
  return 0;
}

Result<u64> enable(Request& r) {
  return each(r, &PerfEvent::enable);
}

Result<u64> disable(Request& r) {
  return each(r, &PerfEvent::disable);
}

Result<u64> reset(Request& r) {
  return each(r, &PerfEvent::reset);
}

Result<u64> refresh(Request& r) {
  if (r.event.attr().inherit || r.event.attr().sample_period == 0) return fail(EINVAL);
  r.event.limit += r.arg;
  r.event.enable();
  return 0;
}

Result<u64> period(Request& r) {
  u64 value;
  TRY(r.task.read(r.arg, &value, sizeof value));
  TRY(r.event.set_period(value));
  return 0;
}

Result<u64> id(Request& r) {
  u64 value = r.event.event_id();
  TRY(r.task.write(r.arg, &value, sizeof value));
  return 0;
}

void for_each_writer(System& system, const PerfBuffer& buffer, const std::function<void(File&, PerfEvent&)>& visit) {
  system.files.for_each([&](File& file) {
    const auto object = file.object();
    if (!object || object->kind() != ObjectKind::kPerfEvent) return;
    auto& event = static_cast<PerfEvent&>(*object);
    if (event.buffer().get() == &buffer) visit(file, event);
  });
}

// The last munmap of its own takes the buffer from an event, and the last of all from all that write to it (kernel:
// perf_mmap_close). It told nobody.
void drop_unmapped_buffer(System& system, const PerfEvent& event) {
  const std::shared_ptr<PerfBuffer> buffer = event.buffer();
  const ArenaMappings mappings(system);
  const bool is_mapped = mappings.any(buffer->extent());
  for_each_writer(system, *buffer, [&](File& file, PerfEvent& writer) {
    const bool had_own = !writer.mapped_at.empty();
    std::erase_if(writer.mapped_at, [&](u64 address) { return !mappings.any_at(buffer->extent(), address); });
    if (is_mapped && (!had_own || !writer.mapped_at.empty())) return;
    writer.set_buffer(nullptr);
    system.files.watch(file, nullptr);
  });
}

// Whose mapping was at the place before, has it no more.
void note_mapping(System& system, PerfEvent& event, u64 address) {
  for_each_writer(system, *event.buffer(), [&](File&, PerfEvent& writer) { writer.mapped_at.erase(address); });
  event.mapped_at.insert(address);
}

Result<u64> set_output(Request& r) {
  std::shared_ptr<PerfEvent> output;
  if (static_cast<s64>(r.arg) != -1) output = TRY(find_perf_event(r.system, r.task, static_cast<int>(r.arg)));
  if (!r.event.mapped_at.empty() && r.event.buffer()) drop_unmapped_buffer(r.system, r.event);
  TRY(set_perf_output(r.event, output.get()));
  r.system.files.watch(r.file, r.file.ring());
  return 0;
}

// Of the record that samples of the event carry. A probe of the event's own defines no fields but those of all (kernel:
// create_local_trace_kprobe).
std::string record_format(Request& r) {
  const u32 id = r.event.point()->event_id();
  if (const TraceEvent* event = r.system.kernel.events().find(id)) return std::string(event->format);
  if (auto event = r.system.dynamic_events.find(id)) return event->format();
  const std::string any(r.system.kernel.events().all().front().format);
  return any.substr(0, any.find("\n\n"));
}

// kernel: perf_event_set_filter.
Result<u64> set_filter(Request& r) {
  auto text = r.task.read_string(r.arg, kPageSize);
  if (!text) return fail(text.error().value == ENAMETOOLONG ? EINVAL : text.error().value);
  if (!r.event.tracing()) return fail(EINVAL);
  TRY(r.event.set_filter(*text, record_format(r)));
  return 0;
}

Result<u64> set_bpf(Request& r) {
  auto file = TRY(r.system.files.find(r.task, static_cast<int>(r.arg)));
  auto object = file ? file->object() : nullptr;
  if (!object || object->kind() != ObjectKind::kProgram) return fail(EINVAL);
  auto program = std::static_pointer_cast<Program>(object);
  TRY(check_runnable(r.system, *program));
  TRY(set_perf_event_program(r.event, std::move(program), 0));
  return 0;
}

Result<u64> pause_output(Request& r) {
  const auto& buffer = r.event.buffer();
  if (!buffer || buffer->ring().pages == 0) return fail(EINVAL);
  buffer->ring().paused = r.arg != 0;
  return 0;
}

// kernel: perf_event_query_prog_array.
Result<u64> query_bpf(Request& r) {
  if (!r.system.capabilities(r.task).perfmon) return fail(EPERM);
  if (r.event.attr().type != PERF_TYPE_TRACEPOINT) return fail(EINVAL);
  perf_event_query_bpf query;
  TRY(r.task.read(r.arg, &query, sizeof query));
  if (query.ids_len > kMaxPrograms) return fail(E2BIG);
  const auto& programs = r.event.point()->programs();
  std::vector<u32> ids(query.ids_len);
  for (size_t i = 0; i < ids.size() && i < programs.size(); ++i) ids[i] = programs[i].program->id();
  u32 count = static_cast<u32>(programs.size());
  TRY(r.task.write(r.arg + offsetof(perf_event_query_bpf, prog_cnt), &count, sizeof count));
  if (!ids.empty())
    TRY(r.task.write(r.arg + offsetof(perf_event_query_bpf, ids), ids.data(), ids.size() * sizeof(u32)));
  if (query.ids_len && count > query.ids_len) return fail(ENOSPC);
  return 0;
}

// Only breakpoints can be changed, and of them only what they watch (kernel: perf_event_modify_attr,
// modify_user_hw_breakpoint_check). Even when it was refused the event is then on, unless it was made disabled.
Result<u64> modify_attributes(Request& r) {
  const perf_event_attr attr = TRY(copy_perf_attr(r.task, r.arg));
  if (attr.type != r.event.attr().type) return fail(EINVAL);
  if (r.event.spec().sort != PerfEvent::Sort::kBreakpoint) return fail(EOPNOTSUPP);
  r.event.disable();
  Result<void> changed = parse_breakpoint(r.system, r.task, attr);
  if (changed) changed = r.event.rewatch(attr);
  if (!r.event.attr().disabled) r.event.enable();
  return changed ? Result<u64>(0) : fail(changed.error().value);
}

struct Command {
  u32 number;
  Result<u64> (*run)(Request&);
};
constexpr Command kCommands[] = {
    {PERF_EVENT_IOC_ENABLE, enable},         {PERF_EVENT_IOC_DISABLE, disable},
    {PERF_EVENT_IOC_REFRESH, refresh},       {PERF_EVENT_IOC_RESET, reset},
    {PERF_EVENT_IOC_PERIOD, period},         {PERF_EVENT_IOC_SET_OUTPUT, set_output},
    {PERF_EVENT_IOC_SET_FILTER, set_filter}, {PERF_EVENT_IOC_ID, id},
    {PERF_EVENT_IOC_SET_BPF, set_bpf},       {PERF_EVENT_IOC_PAUSE_OUTPUT, pause_output},
    {PERF_EVENT_IOC_QUERY_BPF, query_bpf},   {PERF_EVENT_IOC_MODIFY_ATTRIBUTES, modify_attributes},
};

}  // namespace

Result<u64> PerfEventFile::ioctl(System& system, Call& call) {
  Request request{system, call.task, *this, *event_, call.args[2]};
  for (const Command& command : kCommands) {
    if (command.number == static_cast<u32>(call.args[1])) return command.run(request);
  }
  return fail(ENOTTY);
}

Result<void> set_perf_output(PerfEvent& event, PerfEvent* output) {
  if (output) {
    if (output == &event || output->spec().cpu != event.spec().cpu) return fail(EINVAL);
    if (output->spec().cpu == -1 && output->spec().pid != event.spec().pid) return fail(EINVAL);
    if (output->attr().use_clockid != event.attr().use_clockid || output->attr().clockid != event.attr().clockid) {
      return fail(EINVAL);
    }
    if (output->attr().write_backward != event.attr().write_backward) return fail(EINVAL);
  }
  // A mapped buffer of its own stays; the other's must exist.
  if (!event.mapped_at.empty() || (output && !output->buffer())) return fail(EINVAL);
  event.set_buffer(output ? output->buffer() : nullptr);
  return {};
}

Result<u64> PerfEventFile::mmap(System& system, Call& call) {
  MmapRequest request(call);
  TRY(request.check(mode));
  if (event_->spec().cpu == -1 && event_->attr().inherit) return fail(EINVAL);
  // Beyond the buffer there would be AUX data, which no software event has.
  if (!request.shared() || request.offset != 0) return fail(EINVAL);
  u64 pages = request.size / kPageSize - 1;
  if (pages != 0 && !is_power_of_two(pages)) return fail(EINVAL);
  if (event_->buffer()) drop_unmapped_buffer(system, *event_);
  if (event_->buffer()) {
    if (event_->buffer()->ring().pages != pages) return fail(EINVAL);
  } else {
    if (pages >= u64{1} << 31) return fail(ENOMEM);
    u64 watermark = event_->attr().watermark ? event_->attr().wakeup_watermark : 0;
    event_->set_buffer(TRY(PerfBuffer::create(*system.arena, static_cast<u32>(pages), watermark, request.write())));
    system.files.watch(*this, ring());
  }
  u64 address = TRY(map_arena(system, call.task, request, event_->buffer()->area()));
  note_mapping(system, *event_, address);
  return address;
}

bool PerfEventFile::readable() const {
  return event_->buffer() && event_->buffer()->ring().poll;
}

u32 PerfEventFile::poll() {
  if (u32 hangup = condition()) return hangup;
  return perf_ring_take_poll(event_->buffer()->ring()) ? u32{EPOLLIN} : 0;
}

u32 PerfEventFile::condition() const {
  return event_->buffer() && !event_->gone() ? 0 : u32{EPOLLHUP};
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/attach.h"

#include "emu/bpf/noticed.h"
#include "emu/probe/probes.h"
#include "emu/probe/tracepoints.h"

namespace bpfemu {

PerfEventLink::PerfEventLink(std::shared_ptr<PerfEvent> event, std::shared_ptr<Program> program)
    : Link(BPF_LINK_TYPE_PERF_EVENT, std::move(program)), event_(std::move(event)) {}

PerfEventLink::~PerfEventLink() {
  event_->drop_program();
}

RawTracepointLink::RawTracepointLink(std::shared_ptr<Program> program, std::string name, std::unique_ptr<Point> point)
    : Link(BPF_LINK_TYPE_RAW_TRACEPOINT, std::move(program)), name_(std::move(name)), point_(std::move(point)) {}

RawTracepointLink::~RawTracepointLink() {
  point_->probes().raw_attached.erase({name_, program_.get()});
}

void RawTracepointLink::fill_info(bpf_link_info&, std::string& name) const {
  name = name_;
}

FdQuery RawTracepointLink::query() const {
  return {.prog_id = program_->id(), .fd_type = BPF_FD_TYPE_RAW_TRACEPOINT, .name = name_};
}

// kernel: perf_event_set_bpf_prog, perf_event_set_bpf_handler.
Result<void> set_perf_event_program(PerfEvent& event, std::shared_ptr<Program> program, u64 cookie) {
  using Sort = PerfEvent::Sort;
  bool probe = event.point() && event.point()->where().probe != Point::Probe::kNone;
  if (!event.tracing()) {
    if (event.program()) return fail(EEXIST);
    if (program->type != BPF_PROG_TYPE_PERF_EVENT) return fail(EINVAL);
    return event.take_program(std::move(program), cookie);
  }
  if (program->type != (probe ? BPF_PROG_TYPE_KPROBE : BPF_PROG_TYPE_TRACEPOINT)) return fail(EINVAL);
  bool uprobe = probe && event.point()->where().probe == Point::Probe::kUser;
  if (program->verified.sleepable && !uprobe) return fail(EINVAL);
  if (!probe && event.spec().sort == Sort::kTracepoint &&
      program->verified.max_ctx_offset > event.point()->where().record_size) {
    return fail(EACCES);
  }
  if (event.program()) return fail(EEXIST);
  return event.take_program(std::move(program), cookie);
}

Result<std::shared_ptr<Link>> attach_perf_event(std::shared_ptr<PerfEvent> event, std::shared_ptr<Program> program,
                                                u64 cookie) {
  TRY(set_perf_event_program(*event, program, cookie));
  return std::make_shared<PerfEventLink>(std::move(event), std::move(program));
}

Result<std::string> tp_btf_name(const Program& program) {
  constexpr std::string_view prefix = "btf_trace_";
  const char* name = program.attach_btf ? program.attach_btf->type_name(program.attach_btf_id) : nullptr;
  if (!name || !std::string_view(name).starts_with(prefix)) return fail(EINVAL);
  return std::string(name + prefix.size());
}

Result<std::shared_ptr<Link>> attach_raw_tracepoint(Probes& probes, std::string_view name,
                                                    std::shared_ptr<Program> program) {
  Point::Where where = TRY(raw_tracepoint(probes, name));
  if (program->verified.max_ctx_offset > where.record_size) return fail(EINVAL);
  // One tracepoint of the kernel itself has an argument that programs may change (kernel: btp->writable_size).
  const u32 writable = name == "bpf_test_finish" ? sizeof(s32) : 0;
  if (program->verified.max_tp_access > writable) return fail(EINVAL);
  std::pair<std::string, const Program*> place(name, program.get());
  if (probes.raw_attached.contains(place)) return fail(EEXIST);
  auto point = std::make_unique<Point>(probes, std::move(where));
  if (is_noticed(*program)) TRY(point->check_modelled());
  TRY(point->attach({program, 0}));
  probes.raw_attached.insert(std::move(place));
  return std::make_shared<RawTracepointLink>(std::move(program), std::string(name), std::move(point));
}

// kernel: bpf_get_perf_event_info.
Result<FdQuery> query_perf_event(const PerfEvent& event) {
  using Probe = Point::Probe;
  if (!event.program()) return fail(ENOENT);
  if (event.program()->type == BPF_PROG_TYPE_PERF_EVENT) return fail(EOPNOTSUPP);
  const Point::Where& where = event.point()->where();
  FdQuery query{.prog_id = event.program()->id(), .fd_type = BPF_FD_TYPE_TRACEPOINT, .name = where.name};
  if (where.probe == Probe::kNone) return query;
  bool user = where.probe == Probe::kUser;
  query.fd_type = user ? (where.on_return ? BPF_FD_TYPE_URETPROBE : BPF_FD_TYPE_UPROBE)
                       : (where.on_return ? BPF_FD_TYPE_KRETPROBE : BPF_FD_TYPE_KPROBE);
  if (!where.name.empty()) {
    query.probe_offset = where.offset;
  } else {
    query.probe_addr = where.address;
  }
  return query;
}

}  // namespace bpfemu

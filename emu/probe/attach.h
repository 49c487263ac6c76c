// SPDX-License-Identifier: Apache-2.0
// Attaching programs: what BPF_LINK_CREATE, BPF_RAW_TRACEPOINT_OPEN, PERF_EVENT_IOC_SET_BPF and BPF_TASK_FD_QUERY need
// of the probes. The links live as long as something holds them; their destructors detach.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "emu/bpf/link.h"
#include "emu/probe/perf_event.h"
#include "emu/probe/point.h"

namespace bpfemu {

// What BPF_TASK_FD_QUERY tells about a descriptor (kernel: bpf_get_perf_event_info).
struct FdQuery {
  u32 prog_id = 0;
  u32 fd_type = 0;   // BPF_FD_TYPE_*
  std::string name;  // tracepoint, symbol or file
  u64 probe_offset = 0, probe_addr = 0;
};

// BPF_LINK_TYPE_PERF_EVENT. In 6.1 it has no info or fdinfo of its own.
class PerfEventLink : public Link {
 public:
  PerfEventLink(std::shared_ptr<PerfEvent> event, std::shared_ptr<Program> program);
  ~PerfEventLink() override;
  void fill_info(bpf_link_info&, std::string&) const override {}
  u64 cookie() const override { return event_->cookie(); }
  const std::shared_ptr<PerfEvent>& event() const { return event_; }

 private:
  std::shared_ptr<PerfEvent> event_;
};

// BPF_LINK_TYPE_RAW_TRACEPOINT, also for tp_btf programs. info.raw_tracepoint: `name` is the tracepoint's.
class RawTracepointLink : public Link {
 public:
  RawTracepointLink(std::shared_ptr<Program> program, std::string name, std::unique_ptr<Point> point);
  ~RawTracepointLink() override;
  void fill_info(bpf_link_info& info, std::string& name) const override;
  std::string fdinfo() const override { return "tp_name:\t" + name_ + "\n"; }
  FdQuery query() const;

 private:
  std::string name_;
  std::unique_ptr<Point> point_;
};

// Sets `program` on the event as PERF_EVENT_IOC_SET_BPF does: EEXIST when it has one, EINVAL when the program's type
// does not fit, EACCES when it reads beyond the event's record, E2BIG (kernel: perf_event_set_bpf_prog).
Result<void> set_perf_event_program(PerfEvent& event, std::shared_ptr<Program> program, u64 cookie);

// BPF_LINK_CREATE with BPF_PERF_EVENT. The caller has checked flags and found the event (EBADF).
Result<std::shared_ptr<Link>> attach_perf_event(std::shared_ptr<PerfEvent> event, std::shared_ptr<Program> program,
                                                u64 cookie);

// The tracepoint that a tp_btf program names by its attach_btf_id ("sys_enter" of btf_trace_sys_enter): EINVAL.
Result<std::string> tp_btf_name(const Program& program);
// BPF_RAW_TRACEPOINT_OPEN and BPF_LINK_CREATE of raw tracepoint and tp_btf programs. ENOENT: no such tracepoint;
// EINVAL: the program reads more arguments than it has (kernel: __bpf_probe_register); EEXIST: it is there already.
Result<std::shared_ptr<Link>> attach_raw_tracepoint(Probes& probes, std::string_view name,
                                                    std::shared_ptr<Program> program);

// ENOENT: no program; EOPNOTSUPP: a perf event program.
Result<FdQuery> query_perf_event(const PerfEvent& event);

}  // namespace bpfemu

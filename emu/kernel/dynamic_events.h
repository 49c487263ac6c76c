// SPDX-License-Identifier: Apache-2.0
// The events that tools define themselves by writing to kprobe_events, uprobe_events and dynamic_events. Only definitions
// live here: perf_event_open(PERF_TYPE_TRACEPOINT) with an event's id looks it up and probes what it names.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/log.h"
#include "emu/base/result.h"
#include "emu/kernel/dynamic_probe.h"
#include "emu/kernel/error_log.h"
#include "emu/kernel/kernel_data.h"

namespace bpfemu {

// One event has one or more probes, all of them entries or all of them returns (kernel: trace_probe_event).
struct DynamicEvent {
  std::string group, name;
  bool uprobe = false, is_return = false;
  u32 id = 0;
  std::vector<std::shared_ptr<DynamicProbe>> probes;
  u32 users = 0;                  // perf events open on it: the last probe cannot be removed (EBUSY)
  std::function<void()> changed;  // probes came or went; may be empty

  std::string format() const;  // of events/GROUP/NAME/format
  u32 record_size() const;
  u32 record_head() const { return is_return ? 24 : 16; }  // common_*, then where it was hit
};

class DynamicEvents {
 public:
  enum class Sort : u8 { kKprobe, kUprobe, kAny };  // kprobe_events, uprobe_events, dynamic_events

  // Ids follow those of the kernel's own events.
  DynamicEvents(const KernelData& kernel, Unmodelled& unmodelled, u32 cpus_possible)
      : kernel_(kernel), unmodelled_(unmodelled), cpus_possible_(cpus_possible) {}

  // What was written to the file: one or more lines, of which those before a wrong one are done. EINVAL, ENOENT, EEXIST,
  // EBUSY, EILSEQ, ... (kernel: trace_parse_run_command, create_or_delete_trace_kprobe, create_or_delete_trace_uprobe).
  // Paths are looked up by the writer.
  Result<void> write(Sort sort, std::string_view text, Task* writer);
  // Opened with O_TRUNC: EBUSY when one is in use, and then none goes.
  Result<void> clear(Sort sort);
  // What reading kprobe_events, uprobe_events, dynamic_events gives.
  std::string listing(Sort sort) const;
  // kprobe_profile and uprobe_profile: how often each was hit.
  std::string profile(bool uprobe) const;

  std::shared_ptr<DynamicEvent> find(u32 id) const;
  std::shared_ptr<DynamicEvent> find(std::string_view group, std::string_view name) const;
  const std::vector<std::shared_ptr<DynamicEvent>>& all() const { return events_; }

  ErrorLog errors;  // error_log

 private:
  struct Registered {
    std::shared_ptr<DynamicProbe> probe;
    std::shared_ptr<DynamicEvent> event;
  };

  Result<void> command(Sort sort, std::string_view line, Task* writer);
  Result<void> create(Sort sort, const std::vector<std::string>& words, Task* writer);
  Result<void> release(Sort sort, const std::vector<std::string>& words);
  Result<void> add(const ProbeCommand& command, DynamicProbe made);
  Result<void> append(const ProbeCommand& command, DynamicEvent& event, const DynamicProbe& probe);
  Result<void> check_place(DynamicProbe& probe);
  Result<void> check_reference_counter(const DynamicProbe& probe) const;
  void drop(const Registered& gone);

  const KernelData& kernel_;
  Unmodelled& unmodelled_;
  u32 cpus_possible_;
  u32 next_id_ = 0;                                    // 0: none was handed out
  std::vector<Registered> probes_;                     // in the order in which they were defined
  std::vector<std::shared_ptr<DynamicEvent>> events_;  // the same
};

}  // namespace bpfemu

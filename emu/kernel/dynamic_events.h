// SPDX-License-Identifier: Apache-2.0
// The events that tools define themselves by writing to kprobe_events and uprobe_events. Only definitions live here:
// perf_event_open(PERF_TYPE_TRACEPOINT) with an event's id looks it up and probes what it names.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/result.h"
#include "emu/kernel/kernel_data.h"
#include "emu/kernel/user_file.h"

namespace bpfemu {

struct DynamicEvent {
  bool uprobe = false;
  bool is_return = false;
  std::string group, name;
  u32 id = 0;
  std::string symbol;  // kprobe: function, empty when given by address
  std::string path;    // uprobe: file, as it was given and as it was found then
  std::shared_ptr<const UserFile> file;
  u64 offset = 0;      // in the function or the file
  u64 address = 0;     // kprobe: resolved address; 0 when given by symbol
  u64 ref_ctr_offset = 0;
  u32 maxactive = 0;
  u32 users = 0;  // perf events open on it: it cannot be removed (EBUSY)
};

class DynamicEvents {
 public:
  // Ids follow those of the kernel's own events.
  explicit DynamicEvents(const KernelData& kernel) : kernel_(kernel) {}

  // One command as written to kprobe_events or uprobe_events: EINVAL, ENOENT, EEXIST, EBUSY
  // (kernel: create_or_delete_trace_kprobe, create_or_delete_trace_uprobe). Paths are looked up by the writer.
  Result<void> command(bool uprobe, std::string_view line, Task* writer);
  // Opened with O_TRUNC: EBUSY when one is in use, and then none goes.
  Result<void> clear(bool uprobe);
  // What reading the file gives.
  std::string listing(bool uprobe) const;
  std::string format(const DynamicEvent& event) const;

  std::shared_ptr<DynamicEvent> find(u32 id) const;
  std::shared_ptr<DynamicEvent> find(std::string_view group, std::string_view name) const;
  const std::vector<std::shared_ptr<DynamicEvent>>& all() const { return events_; }

 private:
  Result<void> create(bool uprobe, std::string_view line, Task* writer);
  Result<void> remove(bool uprobe, std::string_view line);

  const KernelData& kernel_;
  u32 next_id_ = 0;            // 0: none was handed out
  std::vector<std::shared_ptr<DynamicEvent>> events_;
};

}  // namespace bpfemu

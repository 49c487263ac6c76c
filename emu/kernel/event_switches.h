// SPDX-License-Identifier: Apache-2.0
// Which events the trace buffer records: tracefs' events/*/enable and filter, set_event and set_event_pid (kernel:
// trace_events.c). Whoever records them is told.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "emu/kernel/dynamic_events.h"
#include "emu/kernel/event_filter.h"

namespace bpfemu {

// Who records events.
class EventRecorder {
 public:
  virtual ~EventRecorder() = default;
  // Does the model ever fire it?
  virtual bool knows(u32 id) const = 0;
  // Of one that it knows. Errors of the probe's place.
  virtual Result<void> turn(u32 id, bool on) = 0;
  // Several of these at once.
  virtual void together(const std::function<void()>& turns) = 0;
};

class EventSwitches {
 public:
  EventSwitches(const KernelData& kernel, DynamicEvents& dynamic, Unmodelled& unmodelled)
      : kernel_(kernel), dynamic_(dynamic), unmodelled_(unmodelled) {}
  EventRecorder* recorder = nullptr;

  // An event's `enable` file. EINVAL: not modelled.
  Result<void> enable(u32 id, bool on);
  bool enabled(u32 id) const { return on_.contains(id); }
  // A system's, or with "" everybody's; what is not modelled is then left out, aloud.
  Result<void> enable_system(std::string_view system, bool on);
  // '0', '1', 'X': some; '?': it has none.
  char state(std::string_view system) const;

  // "SYSTEM:EVENT", "SYSTEM:", "EVENT", each with a "!" before it when it is to be off. EINVAL: there is none.
  Result<void> set_events(std::string_view text);
  std::string set_events_listing() const;

  // An event's `filter` file: "0" takes it away. What is wrong is shown by the file and error_log.
  Result<void> set_filter(u32 id, std::string_view text);
  std::string filter_text(u32 id) const;
  // Null: everything passes.
  const EventFilter* filter(u32 id) const;
  Result<void> set_system_filter(std::string_view system, std::string_view text);
  static std::string system_filter_text();

  // set_event_pid and set_event_notrace_pid: the threads whose events are recorded, or are not. Both empty: all are.
  struct Pids {
    std::set<pid_t> listed;
    // EINVAL: no number.
    Result<void> add(std::string_view text);
    std::string listing() const;
  };
  Pids only, never;
  bool wants(pid_t tid) const {
    return (only.listed.empty() || only.listed.contains(tid)) && !never.listed.contains(tid);
  }

 private:
  struct Named {
    std::string_view system, name;
    u32 id;
  };
  struct Filter {
    std::string text;  // as the file shows it
    std::optional<EventFilter> parsed;
  };
  // Those that can be turned on, in the order of available_events.
  std::vector<Named> all() const;
  std::vector<Named> of_system(std::string_view system) const;
  std::string format_of(u32 id) const;
  Result<void> turn(const std::vector<Named>& events, bool on);
  void forget_removed();

  const KernelData& kernel_;
  DynamicEvents& dynamic_;
  Unmodelled& unmodelled_;
  std::set<u32> on_;
  std::map<u32, Filter> filters_;
};

}  // namespace bpfemu

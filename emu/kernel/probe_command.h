// SPDX-License-Identifier: Apache-2.0
// A line of kprobe_events or uprobe_events as words, and what can be wrong with one of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emu/base/result.h"
#include "emu/kernel/error_log.h"

namespace bpfemu {

enum class ProbeError : u8 {
#define PROBE_ERROR(name, text) name,
#include "emu/abi/probe_errors.inc"
#undef PROBE_ERROR
};

class ProbeCommand {
 public:
  // `source`: who says so in the error log, "trace_kprobe" or "trace_uprobe".
  ProbeCommand(std::string_view source, const std::vector<std::string>& words, ErrorLog& log)
      : source_(source), words_(words), log_(log) {}

  size_t size() const { return words_.size(); }
  const std::string& operator[](size_t word) const { return words_[word]; }

  // Logs what is wrong at `offset` of a word, or behind the last one, and returns the error to give
  // (kernel: __trace_probe_log_err).
  std::unexpected<Errno> refuse(size_t word, size_t offset, ProbeError error, int code = EINVAL) const;

 private:
  std::string_view source_;
  const std::vector<std::string>& words_;
  ErrorLog& log_;
};

struct EventName {
  std::string group, event;  // either may be empty: not said
};
// "[GROUP/]EVENT" or "GROUP/" as they stand at `offset` of the first word (kernel: traceprobe_parse_event_name).
Result<EventName> parse_event_name(const ProbeCommand& command, size_t offset);

inline constexpr size_t kMaxEventName = 64;  // kernel: MAX_EVENT_NAME_LEN, with its zero

// An event's or argument's name (kernel: is_good_name).
bool is_good_name(std::string_view name);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// The trace events of the claimed kernel: ids, formats and fields, as tracefs shows them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu {

struct TraceEvent {
  std::string_view system, name;
  u32 id = 0;
  std::string_view format;  // the text of its format file
};

// One line of a format: "field:const char * filename;	offset:24;	size:8;	signed:0;"
struct EventField {
  std::string_view type, name;  // "const char *", "filename"; of an array the element type
  u32 offset = 0, size = 0;
  bool is_signed = false;
};

class Events {
 public:
  // `text`: sections "@@@ SYSTEM/NAME\n" + format, in the order of available_events.
  explicit Events(std::string text);
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  std::span<const TraceEvent> all() const { return events_; }
  // Null: no such event.
  const TraceEvent* find(std::string_view system, std::string_view name) const;
  const TraceEvent* find(u32 id) const;
  // Every event of a system, in the order of available_events.
  std::vector<const TraceEvent*> of_system(std::string_view system) const;
  // The first id that no event of the kernel's own has: dynamic events start here.
  u32 next_id() const { return next_id_; }

 private:
  std::string text_;
  std::vector<TraceEvent> events_;
  std::unordered_map<std::string_view, u32> by_name_;  // "system/name"
  std::unordered_map<u32, u32> by_id_;
  u32 next_id_ = 1;
};

// The fields of a format, common_* included.
std::vector<EventField> fields_of(std::string_view format);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Filters of trace events: "pid == 3 && comm ~ \"ba*\"", as PERF_EVENT_IOC_SET_FILTER and the `filter` files of tracefs take
// them (kernel: kernel/trace/trace_events_filter.c, Documentation/trace/events.rst).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/result.h"
#include "emu/kernel/events.h"

namespace bpfemu {

// What a filter looks at.
struct FilteredRecord {
  std::span<const u8> record;  // as the event's format lays it out
  u32 cpu = 0;
  std::string_view comm;
  // What `const char *` fields point to is not read: in the events that fire it is user memory, which the kernel does not
  // read there either, and no text equals it.
};

class EventFilter {
 public:
  // EINVAL: an unknown field, an operator or value that does not fit the field. Brackets and operators out of place give
  // the kernel's own small numbers: EPERM, ENOENT, ESRCH.
  static Result<EventFilter> parse(std::string_view text, std::string_view format);
  bool matches(const FilteredRecord& record) const;
  // Does it look at the task's name?
  bool asks_comm() const;

 private:
  friend class FilterParser;
  enum class Op : u8 { kGlob, kNe, kEq, kLe, kLt, kGe, kGt, kAnd };
  // What a predicate compares: a field of the record, or what every event has without one.
  enum class Source : u8 { kNumber, kText, kDynamicText, kPointerText, kCpu, kComm };
  struct Predicate {
    Source source;
    EventField field;  // its names are not kept
    Op op;
    u64 number = 0;
    std::string text;
    bool test(const FilteredRecord& record) const;
  };
  // A node of the expression: a predicate, or an operator on the nodes before it.
  enum class Kind : u8 { kPredicate, kNot, kAnd, kOr };
  struct Node {
    Kind kind;
    u32 left = 0, right = 0;  // indexes; of a predicate: into predicates_
  };
  bool evaluate(u32 node, const FilteredRecord& record) const;

  std::vector<Predicate> predicates_;
  std::vector<Node> nodes_;  // the last one is the root
};

}  // namespace bpfemu

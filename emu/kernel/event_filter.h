// SPDX-License-Identifier: Apache-2.0
// Filters of trace events: "pid == 3 && comm ~ \"ba*\"", as PERF_EVENT_IOC_SET_FILTER and the `filter` files of tracefs
// take them (kernel: kernel/trace/trace_events_filter.c, Documentation/trace/events.rst).
#pragma once

#include <functional>
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
  // What FIELD.ustring reads, at most `limit` bytes. Without ".ustring" a `const char *` is the kernel's: in the events
  // that fire it is user memory, which the kernel does not read there, and no predicate holds.
  std::function<Result<std::string>(u64 address, size_t limit)> user_text = {};
};

// What is wrong with a filter, and where (kernel: struct filter_parse_error).
struct FilterFault {
  const char* text = nullptr;  // null: the kernel has no words for it
  size_t position = 0;         // behind the character that it is about
};
// What the `filter` file of an event shows of a filter that was refused (kernel: append_filter_err).
std::string describe_fault(std::string_view filter, const FilterFault& fault);
// Of the filter of a system, for each event that cannot have it.
inline constexpr FilterFault kNoFieldInSystem{"Couldn't find or set field in one of a subsystem's events", 0};

class EventFilter {
 public:
  // EINVAL: an unknown field, an operator or value that does not fit the field. Brackets and operators out of place
  // give the kernel's own small numbers: EPERM, ENOENT, ESRCH. `fault`, if any, says more.
  static Result<EventFilter> parse(std::string_view text, std::string_view format, FilterFault* fault = nullptr);
  bool matches(const FilteredRecord& record) const;
  // Does it look at the task's name?
  bool asks_comm() const;

 private:
  friend class FilterParser;
  enum class Op : u8 { kGlob, kNe, kEq, kLe, kLt, kGe, kGt, kAnd };
  // What a predicate compares: a field of the record, or what every event has without one.
  enum class Source : u8 { kNumber, kText, kDynamicText, kPointerText, kUserText, kCpu, kComm };
  struct Predicate {
    Source source;
    EventField field;  // its names are not kept
    Op op;
    u64 number = 0;
    std::string text;
    bool inverted = false;  // a pattern that begins with "!"
    bool glob_matches(std::string_view found) const;
    bool text_matches(std::string_view found) const;
    bool test(const FilteredRecord& record) const;
  };
  // The expression in postfix order: a predicate, the next one, or an operator on the last two values (kNot: on one).
  enum class Step : u8 { kPredicate, kNot, kAnd, kOr };

  std::vector<Predicate> predicates_;
  std::vector<Step> steps_;
};

}  // namespace bpfemu

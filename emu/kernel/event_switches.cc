// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/event_switches.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "emu/kernel/kstrtox.h"

namespace bpfemu {

namespace {

constexpr std::string_view kBlanks = " \t\n";
constexpr const char* kFilterSource = "event filter parse error";
constexpr const char* kSystemFilterHelp =
    "### global filter ###\n# Use this to set filters for multiple events.\n"
    "# Only events with the given fields will be affected.\n"
    "# If no events are modified, an error message will be displayed here\n";

std::string_view stripped(std::string_view text) {
  const size_t from = text.find_first_not_of(kBlanks);
  return from == text.npos ? std::string_view() : text.substr(from, text.find_last_not_of(kBlanks) + 1 - from);
}

void for_each_word(std::string_view text, auto&& call) {
  for (text = stripped(text); !text.empty(); text = stripped(text)) {
    const size_t end = std::min(text.find_first_of(kBlanks), text.size());
    if (!call(text.substr(0, end))) return;
    text.remove_prefix(end);
  }
}

}  // namespace

std::vector<EventSwitches::Named> EventSwitches::all() const {
  std::vector<Named> found;
  for (const auto& event : dynamic_.all() | std::views::reverse)
    found.push_back({event->group, event->name, event->id});
  for (const TraceEvent& event : kernel_.events().all()) {
    if (event.system != "ftrace") found.push_back({event.system, event.name, event.id});
  }
  return found;
}

std::vector<EventSwitches::Named> EventSwitches::of_system(std::string_view system) const {
  std::vector<Named> found = all();
  std::erase_if(found, [=](const Named& each) { return !system.empty() && each.system != system; });
  return found;
}

Result<void> EventSwitches::enable(u32 id, bool on) {
  forget_removed();
  if (on_.contains(id) == on) return {};
  if (!recorder || !recorder->knows(id)) {
    const TraceEvent* event = kernel_.events().find(id);
    unmodelled_.note("tracefs event", event ? fmt::format("{}:{}", event->system, event->name) : "of a probe");
    return fail(EINVAL);
  }
  TRY(recorder->turn(id, on));
  on ? (void)on_.insert(id) : (void)on_.erase(id);
  return {};
}

// The first error counts; the others are turned all the same (kernel: __ftrace_set_clr_event_nolock).
Result<void> EventSwitches::turn(const std::vector<Named>& events, bool on) {
  forget_removed();
  if (events.size() == 1) return enable(events[0].id, on);
  if (events.empty()) return fail(EINVAL);
  if (!recorder) return on ? Result<void>(fail(EINVAL)) : Result<void>();
  Result<void> result;
  recorder->together([&] {
    for (const Named& each : events) {
      if (on_.contains(each.id) == on) continue;
      if (!recorder->knows(each.id)) {
        if (on) unmodelled_.note("partly traced system", each.system);
      } else if (auto turned = recorder->turn(each.id, on); !turned) {
        if (result) result = turned;
        continue;
      }
      on ? (void)on_.insert(each.id) : (void)on_.erase(each.id);
    }
  });
  return result;
}

Result<void> EventSwitches::enable_system(std::string_view system, bool on) {
  return turn(of_system(system), on);
}

char EventSwitches::state(std::string_view system) const {
  bool some = false, none = false;
  for (const Named& each : of_system(system)) (on_.contains(each.id) ? some : none) = true;
  return some ? none ? 'X' : '1' : none ? '0' : '?';
}

// kernel: ftrace_set_clr_event.
Result<void> EventSwitches::set_events(std::string_view text) {
  Result<void> result;
  for_each_word(text, [&](std::string_view word) {
    const bool on = !word.starts_with('!');
    if (!on) word.remove_prefix(1);
    const size_t colon = word.find(':');
    std::string_view system = colon == word.npos ? "" : word.substr(0, colon);
    std::string_view name = colon == word.npos ? word : word.substr(colon + 1);
    if (system == "*") system = {};
    if (name == "*") name = {};
    std::vector<Named> events = all();
    std::erase_if(events, [&](const Named& each) {
      if (colon == word.npos) return !name.empty() && each.name != name && each.system != name;
      return (!system.empty() && each.system != system) || (!name.empty() && each.name != name);
    });
    result = turn(events, on);
    return result.has_value();
  });
  return result;
}

std::string EventSwitches::set_events_listing() const {
  std::string out;
  for (const Named& each : all()) {
    if (on_.contains(each.id)) out += fmt::format("{}:{}\n", each.system, each.name);
  }
  return out;
}

std::string EventSwitches::format_of(u32 id) const {
  if (const TraceEvent* event = kernel_.events().find(id)) return std::string(event->format);
  const auto dynamic = dynamic_.find(id);
  return dynamic ? dynamic->format() : "";
}

// Ids of dynamic events are never given twice.
void EventSwitches::forget_removed() {
  auto removed = [&](u32 id) { return !kernel_.events().find(id) && !dynamic_.find(id); };
  std::erase_if(on_, removed);
  std::erase_if(filters_, [&](const auto& each) { return removed(each.first); });
}

// kernel: apply_event_filter.
Result<void> EventSwitches::set_filter(u32 id, std::string_view text) {
  text = stripped(text);
  forget_removed();
  if (text == "0") {
    filters_.erase(id);
    return {};
  }
  FilterFault fault;
  auto parsed = EventFilter::parse(text, format_of(id), &fault);
  Filter& filter = filters_[id];
  filter.text = parsed ? std::string(text) : describe_fault(text, fault);
  filter.parsed.reset();
  if (parsed) {
    filter.parsed = std::move(*parsed);
    return {};
  }
  dynamic_.errors.add(kFilterSource, text, fault.text ? fault.text : "Error", fault.text ? fault.position : 0);
  return fail(parsed.error().value);
}

std::string EventSwitches::filter_text(u32 id) const {
  const auto filter = filters_.find(id);
  return filter == filters_.end() ? "none\n" : filter->second.text + "\n";
}

const EventFilter* EventSwitches::filter(u32 id) const {
  const auto filter = filters_.find(id);
  return filter == filters_.end() || !filter->second.parsed ? nullptr : &*filter->second.parsed;
}

// Each event of the system gets it; one that cannot have it shows why, and passes everything (kernel:
// apply_subsystem_event_filter, process_system_preds).
Result<void> EventSwitches::set_system_filter(std::string_view system, std::string_view text) {
  text = stripped(text);
  forget_removed();
  for (const Named& each : of_system(system)) {
    if (text == "0") {
      filters_.erase(each.id);
      continue;
    }
    auto parsed = EventFilter::parse(text, format_of(each.id));
    Filter& filter = filters_[each.id];
    filter.text = parsed ? std::string(text) : describe_fault(text, kNoFieldInSystem);
    filter.parsed.reset();
    if (parsed) {
      filter.parsed = std::move(*parsed);
    } else {
      dynamic_.errors.add(kFilterSource, text, kNoFieldInSystem.text, kNoFieldInSystem.position);
    }
  }
  return {};
}

std::string EventSwitches::system_filter_text() {
  return kSystemFilterHelp;
}

Result<void> EventSwitches::Pids::add(std::string_view text) {
  std::set<pid_t> more;
  Result<void> result;
  for_each_word(text, [&](std::string_view word) {
    const auto number = kstrtoul(word);
    constexpr u64 kMostPids = u64{1} << 22;
    if (!number || *number > kMostPids) result = fail(EINVAL);
    if (result) more.insert(static_cast<pid_t>(*number));
    return result.has_value();
  });
  if (result) listed.merge(more);
  return result;
}

std::string EventSwitches::Pids::listing() const {
  std::string out;
  for (pid_t pid : listed) out += fmt::format("{}\n", pid);
  return out;
}

}  // namespace bpfemu

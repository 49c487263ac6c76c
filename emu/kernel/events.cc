// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/events.h"

#include <charconv>

namespace bpfemu {

namespace {

u32 number_after(std::string_view text, std::string_view key) {
  u32 number = 0;
  size_t at = text.find(key);
  if (at != std::string_view::npos) std::from_chars(text.data() + at + key.size(), text.data() + text.size(), number);
  return number;
}

}  // namespace

Events::Events(std::string text) : text_(std::move(text)) {
  std::string_view rest = text_;
  while (rest.starts_with("@@@ ")) {
    size_t slash = rest.find('/'), line = rest.find('\n');
    if (slash == std::string_view::npos || line == std::string_view::npos || slash > line) break;
    size_t next = rest.find("\n@@@ ", line);
    size_t end = next == std::string_view::npos ? rest.size() : next + 1;
    TraceEvent event{rest.substr(4, slash - 4), rest.substr(slash + 1, line - slash - 1), 0,
                     rest.substr(line + 1, end - line - 1)};
    event.id = number_after(event.format, "\nID: ");
    events_.push_back(event);
    rest.remove_prefix(end);
  }
  for (u32 i = 0; i < events_.size(); ++i) {
    const TraceEvent& event = events_[i];
    // "system/name" stands in the text, one after the other.
    by_name_.emplace(std::string_view(event.system.data(), event.system.size() + 1 + event.name.size()), i);
    by_id_.emplace(event.id, i);
    next_id_ = std::max(next_id_, event.id + 1);
  }
}

const TraceEvent* Events::find(std::string_view system, std::string_view name) const {
  auto it = by_name_.find(std::string(system) + "/" + std::string(name));
  return it == by_name_.end() ? nullptr : &events_[it->second];
}

const TraceEvent* Events::find(u32 id) const {
  auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &events_[it->second];
}

std::vector<const TraceEvent*> Events::of_system(std::string_view system) const {
  std::vector<const TraceEvent*> found;
  for (const TraceEvent& event : events_) {
    if (event.system == system) found.push_back(&event);
  }
  return found;
}

std::vector<EventField> fields_of(std::string_view format) {
  std::vector<EventField> fields;
  constexpr std::string_view head = "field:";
  while (!format.empty()) {
    size_t end = std::min(format.find('\n'), format.size());
    std::string_view line = format.substr(0, end);
    format.remove_prefix(std::min(end + 1, format.size()));
    size_t at = line.find(head), semicolon = line.find(';');
    if (at == std::string_view::npos || semicolon == std::string_view::npos) continue;
    std::string_view declaration = line.substr(at + head.size(), semicolon - at - head.size());
    // "char comm[16]": the length belongs to the type, but one string_view cannot say so.
    std::string_view bare = declaration;
    if (bare.ends_with(']')) bare = bare.substr(0, bare.rfind('['));
    size_t space = bare.find_last_of(" *");
    if (space == std::string_view::npos) continue;
    EventField field;
    field.type = bare.substr(0, bare[space] == '*' ? space + 1 : space);
    field.name = bare.substr(space + 1);
    field.offset = number_after(line, "offset:");
    field.size = number_after(line, "size:");
    field.is_signed = number_after(line, "signed:") != 0;
    fields.push_back(field);
  }
  return fields;
}

}  // namespace bpfemu

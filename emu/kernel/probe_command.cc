// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/probe_command.h"

#include <algorithm>
#include <cctype>

namespace bpfemu {

namespace {

constexpr const char* kTexts[] = {
#define PROBE_ERROR(name, text) text,
#include "emu/abi/probe_errors.inc"
#undef PROBE_ERROR
};

bool starts_name(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool in_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// A group's name may hold dashes, too (kernel: is_good_system_name).
bool is_good_group(std::string_view name) {
  return !name.empty() && (starts_name(name[0]) || name[0] == '-') &&
         std::ranges::all_of(name, [](char c) { return in_name(c) || c == '-'; });
}

}  // namespace

bool is_good_name(std::string_view name) {
  return !name.empty() && starts_name(name[0]) && std::ranges::all_of(name, in_name);
}

std::unexpected<Errno> ProbeCommand::refuse(size_t word, size_t offset, ProbeError error, int code) const {
  std::string text;
  size_t at = 0;
  for (size_t i = 0; i < words_.size(); ++i) {
    if (i == word) at = text.size() + offset;
    text += words_[i] + " ";
  }
  if (word >= words_.size()) at = text.size();
  text.pop_back();
  log_.add(source_, text, kTexts[static_cast<size_t>(error)], at);
  return fail(code);
}

Result<EventName> parse_event_name(const ProbeCommand& command, size_t offset) {
  using enum ProbeError;
  std::string_view text = std::string_view(command[0]).substr(offset);
  EventName name;
  size_t slash = text.find(text.find('/') != std::string_view::npos ? '/' : '.');
  if (slash != std::string_view::npos) {
    if (slash == 0) return command.refuse(0, offset, kNoGroupName);
    if (slash + 1 > kMaxEventName) return command.refuse(0, offset, kGroupTooLong);
    name.group = text.substr(0, slash);
    if (!is_good_group(name.group)) return command.refuse(0, offset, kBadGroupName);
    text.remove_prefix(slash + 1);
    offset += slash + 1;
    if (text.empty()) return name;
  }
  if (text.empty()) return command.refuse(0, offset, kNoEventName);
  if (text.size() >= kMaxEventName) return command.refuse(0, offset, kEventTooLong);
  if (!is_good_name(text)) return command.refuse(0, offset, kBadEventName);
  name.event = text;
  return name;
}

}  // namespace bpfemu

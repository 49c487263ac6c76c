// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/trace_options.h"

#include <fmt/format.h>

#include <algorithm>

namespace bpfemu {

namespace {

// What the trace obeys, and what changes nothing of what is modelled. Others can only stay as they are.
constexpr std::string_view kObeyed[] = {"context-info",  "irq-info",      "raw",
                                        "hex",           "record-tgid",   "record-cmd",
                                        "event-fork",    "markers",       "overwrite",
                                        "print-parent",  "sym-offset",    "annotate",
                                        "block",         "verbose",       "function-trace",
                                        "function-fork", "display-graph", "disable_on_free",
                                        "trace_printk",  "sleep-time",    "graph-time"};

}  // namespace

TraceOptions::TraceOptions(std::string_view text, Unmodelled& unmodelled) : unmodelled_(unmodelled) {
  for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
    const std::string_view line = text.substr(0, end);
    const bool off = line.starts_with("no");
    options_.push_back({std::string(line.substr(off ? 2 : 0)), !off});
  }
}

bool TraceOptions::on(std::string_view name) const {
  const auto found = std::ranges::find(options_, name, &Option::name);
  return found != options_.end() && found->on;
}

bool TraceOptions::knows(std::string_view name) const {
  return std::ranges::count(options_, name, &Option::name) != 0;
}

Result<void> TraceOptions::set(std::string_view name, bool on) {
  const auto found = std::ranges::find(options_, name, &Option::name);
  if (found == options_.end()) return fail(EINVAL);
  if (found->on == on) return {};
  if (!std::ranges::count(kObeyed, name)) {
    unmodelled_.note("trace option", name);
    return fail(EINVAL);
  }
  found->on = on;
  return {};
}

Result<void> TraceOptions::write(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n";
  const size_t from = std::min(text.find_first_not_of(kBlanks), text.size());
  text = text.substr(from, text.find_last_not_of(kBlanks) + 1 - from);
  if (text.empty()) return {};
  const bool off = text.starts_with("no");
  return set(text.substr(off ? 2 : 0), !off);
}

std::string TraceOptions::listing() const {
  std::string out;
  for (const Option& option : options_) out += fmt::format("{}{}\n", option.on ? "" : "no", option.name);
  return out;
}

}  // namespace bpfemu

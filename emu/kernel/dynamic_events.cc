// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/dynamic_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace bpfemu {

namespace {

constexpr size_t kMaxName = 64;      // kernel: MAX_EVENT_NAME_LEN
constexpr u32 kMaxMaxactive = 4096;  // kernel: KRETPROBE_MAXACTIVE_MAX

std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out;
  while (true) {
    size_t start = line.find_first_not_of(" \t");
    if (start == std::string_view::npos) return out;
    size_t end = std::min(line.find_first_of(" \t", start), line.size());
    out.emplace_back(line.substr(start, end - start));
    line.remove_prefix(end);
  }
}

bool is_good_name(std::string_view name, bool dashes) {
  auto is_good = [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || (dashes && c == '-');
  };
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), is_good);
}

// kernel: kstrtoul with base 0.
std::optional<u64> number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.starts_with("0") && text.size() > 1) {
    base = 8;
  }
  u64 value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

// "[GROUP/][EVENT]" (kernel: traceprobe_parse_event_name).
Result<void> parse_name(std::string_view text, DynamicEvent& event) {
  size_t slash = text.find_first_of(text.find('/') != std::string_view::npos ? "/" : ".");
  if (slash != std::string_view::npos) {
    event.group = text.substr(0, slash);
    text.remove_prefix(slash + 1);
    if (event.group.size() + 1 > kMaxName || !is_good_name(event.group, true)) return fail(EINVAL);
    if (text.empty()) return {};
  }
  if (text.size() > kMaxName || !is_good_name(text, false)) return fail(EINVAL);
  event.name = text;
  return {};
}

// "p", "r" or "rMAXACTIVE", and the name behind a colon.
Result<void> parse_head(std::string_view head, DynamicEvent& event) {
  if (head[0] != 'p' && head[0] != 'r') return fail(EINVAL);
  event.is_return = head[0] == 'r';
  size_t colon = std::min(head.find(':'), head.size());
  std::string_view maxactive = head.substr(1, colon - 1);
  if (!maxactive.empty()) {
    auto count = number(maxactive);
    if (event.uprobe || !event.is_return || !count || *count == 0 || *count > kMaxMaxactive) return fail(EINVAL);
    event.maxactive = static_cast<u32>(*count);
  }
  return colon < head.size() ? parse_name(head.substr(colon + 1), event) : Result<void>();
}

// Cuts a "%return" off. EINVAL: another suffix.
Result<void> parse_suffix(std::string& place, DynamicEvent& event) {
  size_t percent = place.find('%');
  if (percent == std::string::npos) return {};
  if (place.substr(percent) != "%return") return fail(EINVAL);
  place.resize(percent);
  event.is_return = true;
  return {};
}

// "SYMBOL[+OFFSET]" or an address (kernel: __trace_kprobe_create).
Result<void> parse_kernel_place(std::string place, const Symbols& symbols, DynamicEvent& event) {
  if (auto address = number(place)) {
    event.address = *address;
    if (event.name.empty()) event.name = fmt::format("{}_0x{:016x}", event.is_return ? 'r' : 'p', *address);
    return {};
  }
  TRY(parse_suffix(place, event));
  if (size_t plus = place.find('+'); plus != std::string::npos) {
    auto offset = number(std::string_view(place).substr(plus + 1));
    if (!offset || *offset > ~u32{0}) return fail(EINVAL);
    event.offset = *offset;
    place.resize(plus);
  }
  if (event.is_return && event.offset != 0) return fail(EINVAL);
  size_t count = symbols.count(place);
  if (count > 1) return fail(EADDRNOTAVAIL);
  if (count == 0) return fail(ENOENT);
  // No system call reaches the middle of a kernel function here; the kernel's answer for a place without instruction.
  if (event.offset != 0) return fail(EILSEQ);
  event.symbol = place;
  event.address = symbols.address(place);
  if (event.name.empty()) {
    event.name = fmt::format("{}_{}_{}", event.is_return ? 'r' : 'p', place, event.offset).substr(0, kMaxName - 1);
    for (char& c : event.name) {
      if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
    }
  }
  return {};
}

// "PATH:OFFSET[(REF_CTR)][%return]" (kernel: __trace_uprobe_create).
Result<void> parse_user_place(std::string place, Task* writer, DynamicEvent& event) {
  size_t colon = place.rfind(':');
  if (place.find('/') == std::string::npos || colon == std::string::npos || colon + 1 == place.size() ||
      !std::isdigit(static_cast<unsigned char>(place[colon + 1]))) {
    return fail(EINVAL);
  }
  event.path = place.substr(0, colon);
  place.erase(0, colon + 1);
  if (!writer) return fail(ENOENT);
  event.file = TRY(UserFile::open(*writer, event.path));
  if (size_t open = place.find('('); open != std::string::npos) {
    if (place.back() != ')') return fail(EINVAL);
    auto counter = number(std::string_view(place).substr(open + 1, place.size() - open - 2));
    if (!counter) return fail(EINVAL);
    event.ref_ctr_offset = *counter;
    place.resize(open);
  }
  TRY(parse_suffix(place, event));
  auto offset = number(place);
  if (!offset) return fail(EINVAL);
  event.offset = *offset;
  if (event.name.empty()) {
    std::string tail = event.path.substr(event.path.rfind('/') + 1);
    event.name = fmt::format("p_{}_0x{:x}", tail.substr(0, tail.find_first_of(".-_")), event.offset);
  }
  return {};
}

}  // namespace

Result<void> DynamicEvents::command(bool uprobe, std::string_view line, Task* writer) {
  line = line.substr(0, line.find('#'));
  if (line.find_first_not_of(" \t") == std::string_view::npos) return {};
  return line[0] == '-' ? remove(uprobe, line) : create(uprobe, line, writer);
}

Result<void> DynamicEvents::create(bool uprobe, std::string_view line, Task* writer) {
  std::vector<std::string> parts = words(line);
  if (parts.size() < 2) return fail(EINVAL);
  // Fetch arguments would need a record of their own: not modelled.
  if (parts.size() > 2) return fail(EINVAL);
  auto event = std::make_shared<DynamicEvent>();
  event->uprobe = uprobe;
  event->group = uprobe ? "uprobes" : "kprobes";
  TRY(parse_head(parts[0], *event));
  TRY(uprobe ? parse_user_place(parts[1], writer, *event) : parse_kernel_place(parts[1], kernel_.symbols(), *event));
  if (find(event->group, event->name)) return fail(EEXIST);
  if (next_id_ == 0) next_id_ = kernel_.events().next_id();
  event->id = next_id_++;
  events_.push_back(std::move(event));
  return {};
}

// kernel: dyn_event_release.
Result<void> DynamicEvents::remove(bool uprobe, std::string_view line) {
  std::string head = words(line)[0];
  if (!head.starts_with("-:")) return fail(EINVAL);
  std::string_view name = std::string_view(head).substr(2), group;
  if (size_t slash = name.find('/'); slash != std::string_view::npos) {
    group = name.substr(0, slash);
    name.remove_prefix(slash + 1);
  } else if (name.empty()) {
    return fail(EINVAL);
  }
  bool found = false;
  for (size_t i = 0; i < events_.size();) {
    const DynamicEvent& event = *events_[i];
    bool matches =
        event.uprobe == uprobe && (group.empty() || group == event.group) && (name.empty() || name == event.name);
    if (!matches) {
      ++i;
      continue;
    }
    if (event.users != 0) return fail(EBUSY);
    events_.erase(events_.begin() + static_cast<ssize_t>(i));
    found = true;
  }
  return found ? Result<void>() : fail(ENOENT);
}

Result<void> DynamicEvents::clear(bool uprobe) {
  for (const auto& event : events_) {
    if (event->uprobe == uprobe && event->users != 0) return fail(EBUSY);
  }
  std::erase_if(events_, [&](const auto& event) { return event->uprobe == uprobe; });
  return {};
}

// kernel: trace_kprobe_show, trace_uprobe_show.
std::string DynamicEvents::listing(bool uprobe) const {
  std::string out;
  for (const auto& event : events_) {
    if (event->uprobe != uprobe) continue;
    out += event->is_return ? 'r' : 'p';
    if (event->maxactive != 0) out += std::to_string(event->maxactive);
    out += fmt::format(":{}/{} ", event->group, event->name);
    if (uprobe) {
      out += fmt::format("{}:0x{:016x}", event->path, event->offset);
      if (event->ref_ctr_offset != 0) out += fmt::format("(0x{:x})", event->ref_ctr_offset);
    } else {
      out += event->symbol.empty() ? fmt::format("0x{:016x}", event->address) : event->symbol;
    }
    out += '\n';
  }
  return out;
}

std::string DynamicEvents::format(const DynamicEvent& event) const {
  std::string fields = event.is_return ? "\tfield:unsigned long __probe_func;\toffset:8;\tsize:8;\tsigned:0;\n"
                                         "\tfield:unsigned long __probe_ret_ip;\toffset:16;\tsize:8;\tsigned:0;\n"
                                       : "\tfield:unsigned long __probe_ip;\toffset:8;\tsize:8;\tsigned:0;\n";
  std::string print =
      event.is_return ? "\"(%lx <- %lx)\", REC->__probe_func, REC->__probe_ret_ip" : "\"(%lx)\", REC->__probe_ip";
  return fmt::format(
      "name: {}\nID: {}\nformat:\n"
      "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
      "\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"
      "\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"
      "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n"
      "\n{}\nprint fmt: {}\n",
      event.name, event.id, fields, print);
}

std::shared_ptr<DynamicEvent> DynamicEvents::find(u32 id) const {
  auto it = std::find_if(events_.begin(), events_.end(), [&](const auto& event) { return event->id == id; });
  return it == events_.end() ? nullptr : *it;
}

std::shared_ptr<DynamicEvent> DynamicEvents::find(std::string_view group, std::string_view name) const {
  auto it = std::find_if(events_.begin(), events_.end(),
                         [&](const auto& event) { return event->group == group && event->name == name; });
  return it == events_.end() ? nullptr : *it;
}

}  // namespace bpfemu

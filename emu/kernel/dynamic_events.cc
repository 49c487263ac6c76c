// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/dynamic_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "emu/base/words.h"
#include "emu/kernel/kprobe_places.h"

namespace bpfemu {

namespace {

using enum ProbeError;

constexpr size_t kLongestLine = 4094;  // kernel: WRITE_BUFSIZE - 2

bool is_sort(const DynamicProbe& probe, DynamicEvents::Sort sort) {
  return sort == DynamicEvents::Sort::kAny || probe.uprobe == (sort == DynamicEvents::Sort::kUprobe);
}

bool same_place(const DynamicProbe& a, const DynamicProbe& b) {
  if (a.symbol != b.symbol || a.offset != b.offset) return false;
  return !a.uprobe || a.file->id() == b.file->id();
}

// kernel: trace_kprobe_has_same_kprobe, trace_uprobe_has_same_uprobe.
bool same_probe(const DynamicProbe& a, const DynamicProbe& b) {
  return same_place(a, b) && std::ranges::equal(a.args, b.args, {}, &FetchArg::text, &FetchArg::text);
}

// The first argument in which two probes of one event must not differ, from 1 on; 0: none
// (kernel: trace_probe_compare_arg_type).
size_t differing_arg(const DynamicProbe& a, const DynamicProbe& b) {
  if (a.args.size() != b.args.size()) return std::min(a.args.size(), b.args.size()) + 1;
  for (size_t i = 0; i < a.args.size(); ++i) {
    const FetchArg &x = a.args[i], &y = b.args[i];
    if (x.type != y.type || x.count != y.count || x.name != y.name) return i + 1;
  }
  return 0;
}

// What a removal says behind the name: "PLACE ARG=FETCHARG ...", as far as it goes.
bool matches(const DynamicProbe& probe, std::span<const std::string> words) {
  if (words.empty()) return true;
  if (words[0] != probe.place() || words.size() - 1 > probe.args.size()) return false;
  for (size_t i = 1; i < words.size(); ++i) {
    const FetchArg& arg = probe.args[i - 1];
    if (words[i] != arg.name + "=" + arg.text) return false;
  }
  return true;
}

// A field's declaration: the length of an array is not known to the format's writer (kernel: f_show).
std::string declaration(const FetchArg& arg) {
  bool is_array = arg.count != 0;
  if (!is_array) return fmt::format("{} {}", arg.type->field, arg.name);
  if (arg.type->is_string) return fmt::format("{}[{}] {}", arg.type->field, arg.count, arg.name);
  return fmt::format("{} {}[]", arg.type->field, arg.name);
}

}  // namespace

// kernel: trace_parse_run_command.
Result<void> DynamicEvents::write(Sort sort, std::string_view text, Task* writer) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.size() > kLongestLine) return fail(EINVAL);
    TRY(command(sort, line.substr(0, line.find('#')), writer));
  }
  return {};
}

Result<void> DynamicEvents::command(Sort sort, std::string_view line, Task* writer) {
  std::vector<std::string> words = words_of(line);
  if (line.starts_with('-') || (sort == Sort::kAny && line.starts_with('!'))) return release(sort, words);
  return words.empty() ? Result<void>() : create(sort, words, writer);
}

Result<void> DynamicEvents::create(Sort sort, const std::vector<std::string>& words, Task* writer) {
  Result<DynamicProbe> made = fail(kOtherSort);
  if (sort != Sort::kUprobe) made = parse_kprobe(words, errors, kernel_.symbols());
  bool kprobe = made || made.error().value != kOtherSort;
  if (!kprobe && sort != Sort::kKprobe) made = parse_uprobe(words, errors, writer);
  if (made) return add(ProbeCommand(kprobe ? "trace_kprobe" : "trace_uprobe", words, errors), std::move(*made));
  if (made.error().value != kOtherSort) return std::unexpected(made.error());
  if (sort == Sort::kAny && words[0].starts_with('e')) unmodelled_.note("event probes");
  if (sort == Sort::kAny && words[0].starts_with("s:")) unmodelled_.note("synthetic events");
  return fail(EINVAL);
}

// kernel: register_trace_kprobe, register_trace_uprobe.
Result<void> DynamicEvents::add(const ProbeCommand& command, DynamicProbe made) {
  TRY(check_reference_counter(made));
  auto event = find(made.group, made.event);
  if (event && event->uprobe == made.uprobe) {
    TRY(append(command, *event, made));
  } else if (event || kernel_.events().find(made.group, made.event)) {
    return command.refuse(0, 0, kEventExists, EEXIST);
  } else {
    event = std::make_shared<DynamicEvent>();
    event->group = made.group;
    event->name = made.event;
    event->uprobe = made.uprobe;
    event->is_return = made.is_return;
  }
  if (auto placed = check_place(made); !placed) {
    int error = placed.error().value;
    return command.refuse(1, 0, error == EILSEQ ? kBadBoundary : error == ENOENT ? kBadProbeAddress : kRegisterFailed,
                          error);
  }
  if (event->id == 0) {
    if (next_id_ == 0) next_id_ = kernel_.events().next_id();
    event->id = next_id_++;
    events_.push_back(event);
  }
  auto probe = std::make_shared<DynamicProbe>(std::move(made));
  event->probes.push_back(probe);
  probes_.push_back({std::move(probe), event});
  if (event->changed) event->changed();
  return {};
}

// May it go beside the probes that the event has (kernel: append_trace_kprobe)?
Result<void> DynamicEvents::append(const ProbeCommand& command, DynamicEvent& event, const DynamicProbe& probe) {
  if (event.is_return != probe.is_return) return command.refuse(0, 0, kOtherProbeType, EEXIST);
  if (size_t arg = differing_arg(probe, *event.probes[0])) return command.refuse(arg + 1, 0, kOtherArgType, EEXIST);
  for (const auto& other : event.probes) {
    if (same_probe(*other, probe)) return command.refuse(0, 0, kSameProbe, EEXIST);
  }
  return {};
}

// kernel: __register_trace_kprobe. Uprobes are looked at when somebody opens them.
Result<void> DynamicEvents::check_place(DynamicProbe& probe) {
  if (probe.uprobe) return {};
  if (probe.symbol.empty() && probe.address == 0) return fail(EINVAL);
  // Of a module that is not loaded, or an address where nothing is: it stays, for what may be loaded there.
  bool later = probe.symbol.empty() ? !kernel_place(kernel_.symbols(), probe.address).in_kernel() : !probe.address;
  for (const FetchArg& arg : probe.args) TRY(resolve_symbols(arg, kernel_.symbols()));
  if (later) {
    probe.address = 0;
    return {};
  }
  TRY(check_kprobe(kernel_, unmodelled_, probe.address, probe.is_return));
  if (probe.is_return && probe.maxactive == 0) probe.maxactive = std::max<u32>(10, 2 * cpus_possible_);
  return {};
}

// All uprobes at one place have one counter (kernel: validate_ref_ctr_offset).
Result<void> DynamicEvents::check_reference_counter(const DynamicProbe& probe) const {
  if (!probe.uprobe) return {};
  for (const auto& [other, event] : probes_) {
    bool there = other->uprobe && same_place(*other, probe);
    if (there && other->ref_ctr_offset != probe.ref_ctr_offset) return fail(EINVAL);
  }
  return {};
}

// kernel: dyn_event_release.
Result<void> DynamicEvents::release(Sort sort, const std::vector<std::string>& words) {
  std::string_view head = words[0];
  size_t colon = head[0] == '-' ? 1 : head.find(':');
  if (colon >= head.size() || head[colon] != ':') return fail(EINVAL);
  std::string_view name = head.substr(colon + 1), group;
  size_t slash = name.find('/');
  bool any_group = slash == name.npos;
  if (!any_group) {
    group = name.substr(0, slash);
    name.remove_prefix(slash + 1);
  } else if (name.empty()) {
    return fail(EINVAL);
  }
  bool found = false;
  for (const Registered& each : std::vector(probes_)) {
    const DynamicProbe& probe = *each.probe;
    if (!is_sort(probe, sort) || (!any_group && group != probe.group) || (!name.empty() && name != probe.event) ||
        !matches(probe, std::span(words).subspan(1))) {
      continue;
    }
    if (each.event->users != 0 && each.event->probes.size() == 1) return fail(EBUSY);
    drop(each);
    found = true;
  }
  return found ? Result<void>() : fail(ENOENT);
}

void DynamicEvents::drop(const Registered& gone) {
  std::erase(gone.event->probes, gone.probe);
  if (gone.event->probes.empty()) std::erase(events_, gone.event);
  if (gone.event->changed) gone.event->changed();
  std::erase_if(probes_, [&](const Registered& each) { return each.probe == gone.probe; });
}

// kernel: dyn_events_release_all.
Result<void> DynamicEvents::clear(Sort sort) {
  auto concerned = [&](const Registered& each) { return is_sort(*each.probe, sort); };
  if (std::ranges::any_of(probes_, [&](auto& each) { return concerned(each) && each.event->users != 0; })) {
    return fail(EBUSY);
  }
  for (const Registered& each : std::vector(probes_)) {
    if (concerned(each)) drop(each);
  }
  return {};
}

std::string DynamicEvents::listing(Sort sort) const {
  std::string out;
  for (const Registered& each : probes_) {
    if (is_sort(*each.probe, sort)) out += each.probe->listing();
  }
  return out;
}

// kernel: probes_profile_seq_show, of either file.
std::string DynamicEvents::profile(bool uprobe) const {
  std::string out;
  for (const auto& [probe, event] : probes_) {
    if (probe->uprobe != uprobe) continue;
    out += uprobe ? fmt::format("  {} {:<44} {:>15}\n", probe->path, event->name, probe->hits)
                  : fmt::format("  {:<44} {:>15} {:>15}\n", event->name, probe->hits, 0);
  }
  return out;
}

u32 DynamicEvent::record_size() const {
  u32 size = record_head();
  for (const FetchArg& arg : probes[0]->args) size += arg.size();
  return size;
}

// kernel: print_event_fields, traceprobe_set_print_fmt.
std::string DynamicEvent::format() const {
  const auto& args = probes[0]->args;
  std::string fields = is_return ? "\tfield:unsigned long __probe_func;\toffset:8;\tsize:8;\tsigned:0;\n"
                                   "\tfield:unsigned long __probe_ret_ip;\toffset:16;\tsize:8;\tsigned:0;\n"
                                 : "\tfield:unsigned long __probe_ip;\toffset:8;\tsize:8;\tsigned:0;\n";
  std::string text = is_return ? "(%lx <- %lx)" : "(%lx)";
  std::string values = is_return ? ", REC->__probe_func, REC->__probe_ret_ip" : ", REC->__probe_ip";
  u32 offset = record_head();
  for (const FetchArg& arg : args) {
    fields += fmt::format("\tfield:{};\toffset:{};\tsize:{};\tsigned:{};\n", declaration(arg), offset, arg.size(),
                          int(arg.type->is_signed));
    offset += arg.size();
    text += fmt::format(" {}={}", arg.name, arg.count ? "{" : "");
    for (u32 i = 0; i < std::max(arg.count, u32{1}); ++i) {
      std::string value = arg.count ? fmt::format("{}[{}]", arg.name, i) : arg.name;
      text += fmt::format("{}{}", i ? "," : "", arg.type->format);
      values += arg.type->is_string ? fmt::format(", __get_str({})", value) : fmt::format(", REC->{}", value);
    }
    if (arg.count) text += "}";
  }
  return fmt::format(
      "name: {}\nID: {}\nformat:\n"
      "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
      "\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"
      "\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"
      "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n"
      "\n{}\nprint fmt: \"{}\"{}\n",
      name, id, fields, text, values);
}

std::shared_ptr<DynamicEvent> DynamicEvents::find(u32 id) const {
  auto it = std::ranges::find_if(events_, [&](const auto& event) { return event->id == id; });
  return it == events_.end() ? nullptr : *it;
}

std::shared_ptr<DynamicEvent> DynamicEvents::find(std::string_view group, std::string_view name) const {
  auto it =
      std::ranges::find_if(events_, [&](const auto& event) { return event->group == group && event->name == name; });
  return it == events_.end() ? nullptr : *it;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/event_printer.h"

#include <fmt/format.h>

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {

constexpr u32 kPlace = 8;  // of a probe's record: where it was hit

u64 word_at(std::span<const u8> record, u32 at) {
  return at + sizeof(u64) <= record.size() ? load<u64>(record.data() + at) : 0;
}

}  // namespace

// kernel: seq_print_ip_sym.
std::string EventPrinter::symbol_text(u64 address, bool offset) const {
  const auto place = kernel_.symbols().locate(address);
  if (!place) return fmt::format("0x{:x}", address);
  return offset ? fmt::format("{}+0x{:x}/0x{:x}", place->name, place->offset, place->size) : std::string(place->name);
}

// kernel: print_syscall_enter, print_syscall_exit.
std::string EventPrinter::syscall_text(const TraceEvent& event, std::span<const u8> record, bool verbose) const {
  constexpr std::string_view kEnter = "sys_enter_", kExit = "sys_exit_";
  if (event.name.starts_with(kExit)) {
    return fmt::format("sys_{} -> 0x{:x}\n", event.name.substr(kExit.size()), word_at(record, 16));
  }
  std::string out = fmt::format("sys_{}(", event.name.substr(kEnter.size()));
  bool first = true;
  for (const EventField& field : fields_of(event.format)) {
    if (field.name.starts_with("common_") || field.name == "__syscall_nr") continue;
    const std::string type = verbose ? std::string(field.type) + " " : "";
    out += fmt::format("{}{}{}: {:x}", first ? "" : ", ", type, field.name, word_at(record, field.offset));
    first = false;
  }
  return out + ")\n";
}

// kernel: print_kprobe_event, print_kretprobe_event, print_uprobe_event.
std::string EventPrinter::probe_text(const DynamicEvent& event, std::span<const u8> record) const {
  const u64 place = word_at(record, kPlace), back = word_at(record, kPlace + sizeof(u64));
  std::string out = event.name + ": (";
  if (event.uprobe) {
    out += event.is_return ? fmt::format("0x{:x} <- 0x{:x}", back, place) : fmt::format("0x{:x}", place);
  } else if (event.is_return) {
    out += symbol_text(back, true) + " <- " + symbol_text(place, false);
  } else {
    out += symbol_text(place, true);
  }
  out += ')';
  u32 at = event.record_head();
  for (const FetchArg& arg : event.probes[0]->args) {
    out += fmt::format(" {}={}", arg.name,
                       fetched_text(arg, record, at, [&](u64 address) { return symbol_text(address, true); }));
    at += arg.size();
  }
  return out + "\n";
}

std::string EventPrinter::text(u32 id, std::span<const u8> record, bool verbose) {
  const TraceEvent* event = kernel_.events().find(id);
  if (!event) {
    const auto dynamic = dynamic_.find(id);
    return dynamic ? probe_text(*dynamic, record) : "\n";
  }
  if (event->system == "syscalls") return syscall_text(*event, record, verbose);
  auto format = formats_.find(id);
  if (format == formats_.end()) {
    format = formats_
                 .emplace(id, PrintFormat(event->format,
                                          [this](u64 address, bool offset) { return symbol_text(address, offset); }))
                 .first;
  }
  std::string out = fmt::format("{}: ", event->name);
  if (!format->second.print(record, out)) unmodelled_.note("the text of trace event", event->name);
  return out + "\n";
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/dynamic_probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "emu/kernel/kprobe_places.h"
#include "emu/kernel/kstrtox.h"

namespace bpfemu {

namespace {

using enum ProbeError;

constexpr u64 kMaxMaxactive = 4096;   // kernel: KRETPROBE_MAXACTIVE_MAX
constexpr size_t kMaxArgs = 128;      // kernel: MAX_TRACE_ARGS
constexpr std::string_view kReturn = "%return";

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)); }

bool is_definition(const std::vector<std::string>& words) {
  return words.size() >= 2 && (words[0][0] == 'p' || words[0][0] == 'r');
}

// Names that the kernel makes are cut, and what no name may hold becomes an underscore (kernel: sanitize_event_name).
std::string made_name(std::string name) {
  name.resize(std::min(name.size(), kMaxEventName - 1));
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

// "rMAXACTIVE" before the colon.
Result<u32> parse_maxactive(const ProbeCommand& command, size_t colon) {
  std::string_view number = std::string_view(command[0]).substr(1, colon == std::string::npos ? colon : colon - 1);
  if (number.empty() || !is_digit(number[0])) return 0;
  if (command[0][0] != 'r') return command.refuse(0, 1, kMaxactiveNoKprobe);
  auto count = kstrtoul(number);
  if (number.size() >= kMaxEventName || !count || *count == 0 || *count > ~u32{0}) {
    return command.refuse(0, 1, kBadMaxactive);
  }
  if (*count > kMaxMaxactive) return command.refuse(0, 1, kMaxactiveTooBig);
  return static_cast<u32>(*count);
}

// Cuts "%return" off the second word's part from `at` on.
Result<void> parse_suffix(const ProbeCommand& command, std::string& place, size_t at, DynamicProbe& probe) {
  size_t percent = place.find('%');
  if (percent == std::string::npos) return {};
  if (std::string_view(place).substr(percent) != kReturn) return command.refuse(1, at + percent, kBadAddressSuffix);
  place.resize(percent);
  probe.is_return = true;
  return {};
}

Result<void> parse_args(const ProbeCommand& command, const FetchPlace& place, DynamicProbe& probe) {
  for (size_t word = 2; word < command.size() && probe.args.size() < kMaxArgs; ++word) {
    probe.args.push_back(TRY(parse_fetch_arg(command, word, place, probe.args)));
  }
  return {};
}

// "[MODULE:]SYMBOL[+OFFSET][%return]".
Result<void> parse_symbol(const ProbeCommand& command, const Symbols& symbols, DynamicProbe& probe, FetchPlace& fetch) {
  std::string place = command[1];
  TRY(parse_suffix(command, place, 0, probe));
  fetch.on_return = probe.is_return;
  if (size_t sign = place.find_first_of("+-"); sign != std::string::npos) {
    auto offset = kstrtol(std::string_view(place).substr(sign));
    if (!offset || *offset < 0 || *offset > ~u32{0}) return command.refuse(1, 0, kBadProbeAddress);
    probe.offset = static_cast<u64>(*offset);
    place.resize(sign);
  }
  probe.symbol = place;
  size_t count = symbols.count(place);
  bool known = count > 0;
  if (known) {
    probe.address = symbols.address(place) + probe.offset;
    fetch.at_entry = kernel_place(symbols, probe.address).at_entry();
    if (probe.is_return && !fetch.at_entry && kernel_place(symbols, probe.address).in_kernel()) {
      return command.refuse(1, 0, kBadRetprobe);
    }
  }
  if (count > 1) return command.refuse(1, 0, kSymbolNotUnique, EADDRNOTAVAIL);
  // A module's may come with its module.
  if (!known && place.find(':') == std::string::npos) return command.refuse(1, 0, kBadProbeAddress, ENOENT);
  return {};
}

// "OFFSET[%return][(REF_CTR)]" behind the path's colon, at `at` of the second word.
Result<void> parse_file_place(const ProbeCommand& command, std::string place, size_t at, DynamicProbe& probe) {
  if (size_t open = place.find('('); open != std::string::npos) {
    size_t close = place.find(')', open);
    if (close == std::string::npos) return command.refuse(1, at + place.size(), kRefCounterOpen);
    if (close + 1 != place.size()) return command.refuse(1, at + close + 1, kBadRefCounterSuffix);
    auto counter = kstrtoul(std::string_view(place).substr(open + 1, close - open - 1));
    if (!counter) return command.refuse(1, at + open + 1, kBadRefCounter, counter.error().value);
    probe.ref_ctr_offset = *counter;
    place.resize(open);
  }
  TRY(parse_suffix(command, place, at, probe));
  auto offset = kstrtoul(place);
  if (!offset) return command.refuse(1, at, kBadUprobeOffset, offset.error().value);
  probe.offset = *offset;
  return {};
}

void take_name(DynamicProbe& probe, EventName name) {
  if (!name.group.empty()) probe.group = std::move(name.group);
  probe.event = std::move(name.event);
}

}  // namespace

std::string hashed_pointer(u64 address) {
  u64 hash = address * 0x9e3779b97f4a7c15;
  return fmt::format("0x{:016x}", (hash ^ hash >> 29) & ~u32{0});
}

Result<DynamicProbe> parse_kprobe(const std::vector<std::string>& words, ErrorLog& log, const Symbols& symbols) {
  if (!is_definition(words)) return fail(kOtherSort);
  ProbeCommand command("trace_kprobe", words, log);
  DynamicProbe probe{.is_return = words[0][0] == 'r', .group = "kprobes"};
  size_t colon = words[0].find(':', 1);
  probe.maxactive = TRY(parse_maxactive(command, colon));
  FetchPlace fetch{.kernel = true};
  if (auto address = kstrtoul(words[1])) {
    probe.address = *address;
  } else {
    if (words[1].find('/') != std::string::npos && words[1].find(':') != std::string::npos) return fail(kOtherSort);
    TRY(parse_symbol(command, symbols, probe, fetch));
  }
  if (colon != std::string::npos) take_name(probe, TRY(parse_event_name(command, colon + 1)));
  if (probe.event.empty()) {
    char kind = probe.is_return ? 'r' : 'p';
    probe.event = made_name(probe.symbol.empty() ? fmt::format("{}_{}", kind, hashed_pointer(probe.address))
                                                 : fmt::format("{}_{}_{}", kind, probe.symbol, probe.offset));
  }
  TRY(parse_args(command, fetch, probe));
  return probe;
}

Result<DynamicProbe> parse_uprobe(const std::vector<std::string>& words, ErrorLog& log, Task* writer) {
  if (!is_definition(words) || words[1].find('/') == std::string::npos) return fail(kOtherSort);
  size_t colon = words[1].rfind(':');
  if (colon == std::string::npos || colon + 1 == words[1].size() || !is_digit(words[1][colon + 1])) {
    return fail(kOtherSort);
  }
  ProbeCommand command("trace_uprobe", words, log);
  DynamicProbe probe{.uprobe = true, .is_return = words[0][0] == 'r', .group = "uprobes"};
  probe.path = words[1].substr(0, colon);
  auto file = writer ? UserFile::open(*writer, probe.path) : fail(ENOENT);
  if (!file) {
    const int error = file.error().value;
    return command.refuse(1, 0, error == EINVAL ? kNoRegularFile : kFileNotFound, error);
  }
  probe.file = *file;
  TRY(parse_file_place(command, words[1].substr(colon + 1), colon + 1, probe));
  if (words[0].size() > 1 && words[0][1] == ':') take_name(probe, TRY(parse_event_name(command, 2)));
  if (probe.event.empty()) {
    std::string file = probe.path.substr(probe.path.rfind('/') + 1);
    probe.event = fmt::format("p_{}_0x{:x}", file.substr(0, file.find_first_of(".-_")), probe.offset);
    probe.event.resize(std::min(probe.event.size(), kMaxEventName - 1));
  }
  TRY(parse_args(command, {.on_return = probe.is_return}, probe));
  return probe;
}

std::string DynamicProbe::place() const {
  if (uprobe) {
    std::string counter = ref_ctr_offset ? fmt::format("(0x{:x})", ref_ctr_offset) : "";
    return fmt::format("{}:0x{:016x}{}", path, offset, counter);
  }
  if (symbol.empty()) return hashed_pointer(address);
  return offset ? fmt::format("{}+{}", symbol, offset) : symbol;
}

// kernel: trace_kprobe_show, trace_uprobe_show.
std::string DynamicProbe::listing() const {
  std::string out(1, is_return ? 'r' : 'p');
  if (is_return && maxactive) out += std::to_string(maxactive);
  out += fmt::format(":{}/{} {}", group, event, place());
  for (const FetchArg& arg : args) out += fmt::format(" {}={}", arg.name, arg.text);
  return out + "\n";
}

}  // namespace bpfemu

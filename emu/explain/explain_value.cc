// SPDX-License-Identifier: Apache-2.0
// Rejections for what a register or the stack holds.
#include <algorithm>
#include <cctype>
#include <cstdio>

#include "emu/explain/explainer.h"

namespace bpfemu {

namespace {

// "e" of "e = bpf_map_lookup_elem(...)" and "struct event *e = ...": the variable that the
// value at a column goes to.
std::string assigned_variable(const std::string& text, size_t before) {
  size_t equals = text.rfind('=', before);
  if (equals == std::string::npos || equals == 0 || text.find_first_of("=!<&|(", equals + 1) < before) return {};
  size_t end = text.find_last_not_of(" \t", equals - 1);
  if (end == std::string::npos) return {};
  size_t begin = end + 1;
  while (begin > 0 && (std::isalnum(static_cast<unsigned char>(text[begin - 1])) || text[begin - 1] == '_')) --begin;
  bool is_member = begin > 0 && (text[begin - 1] == '.' || text[begin - 1] == '>');
  return is_member ? std::string() : text.substr(begin, end + 1 - begin);
}

// What a pointer points to, and how many bytes that has; none for what has no fixed size.
struct Region {
  const char* name;
  s64 size;
};
std::optional<Region> region_of(const Reg& reg) {
  switch (base_type(reg.type)) {
    case kPtrToMapValue: return Region{"the map value", reg.map()->map().value_size};
    case kPtrToMapKey: return Region{"the map key", reg.map()->map().key_size};
    case kPtrToMem: return Region{"the memory", reg.mem_size()};
    default: return std::nullopt;
  }
}

// "0", "0 or 1", "0 to 3": what "(VALUE; MASK)" at the end of a message allows, "" when that is no range.
std::string allowed_values(const std::string& words) {
  const size_t at = words.rfind("should have been in (");
  unsigned long long value = 0, mask = 0;
  if (at == std::string::npos ||
      std::sscanf(words.c_str() + at, "should have been in (%llx; %llx)", &value, &mask) != 2 || (mask & (mask + 1)))
    return {};
  if (mask == 0) return fmt::format("{}", value);
  return fmt::format("{} {} {}", value, mask == 1 ? "or" : "to", value + mask);
}

std::string bytes_text(s64 from, s64 size) {
  return size == 1 ? fmt::format("byte {}", from) : fmt::format("bytes {} to {}", from, from + size - 1);
}

}  // namespace

void Explainer::explain_null() {
  auto events = trace(rejection_, *cause_.reg, Follow::kValue);
  std::string call = refused_call();
  std::string use = call.empty() ? "used here without a check" : fmt::format("passed to {} without a check", call);
  if (!events.empty() && events.back().kind == TraceEvent::Kind::kOrigin) {
    label(events.back().insn, fmt::format("may be NULL: {}", events.back().what));
    const SourceLine& made = report_.labels.back().at;
    std::string variable = made.column ? assigned_variable(made.text, made.column - 1) : std::string();
    SourceLine line = source_line(rejection_, *cause_.insn);
    if (!variable.empty()) {
      report_.help = fmt::format("add `if (!{}) return 0;` before line {}", variable, line.line);
    }
  }
  refused(std::move(use));
}

// Where the number in a register comes from, and what the program asked about it.
void Explainer::explain_number(u32 reg, std::string_view name) {
  auto events = trace(rejection_, reg, Follow::kNumber);
  bool compared = false;
  for (auto event = events.rbegin(); event != events.rend(); ++event) {
    switch (event->kind) {
      case TraceEvent::Kind::kOrigin:
        label(event->insn, fmt::format("the {} comes from here: {}", name, event->what));
        break;
      case TraceEvent::Kind::kCompared:
        label(event->insn, fmt::format("compared here: then it is {}", range_text(event->after.range)));
        compared = true;
        break;
      case TraceEvent::Kind::kAdded:
        if (event->insn != *cause_.insn) label(event->insn, fmt::format("the {} is added to the pointer here", name));
        break;
      case TraceEvent::Kind::kLost: break;
    }
  }
  if (!events.empty() && !compared && cause_.code != Code::kZeroSize)
    note(fmt::format("no comparison on this path limits the {}", name));
}

void Explainer::explain_bounds() {
  if (!subject()) return explain_register();
  const Reg& reg = *subject();
  auto region = region_of(reg);
  auto off = number(" off="), size = number(" size=");
  if (!reg.is_scalar() && reg.var_off.is_const()) {
    label_origin(*cause_.reg, "the pointer");
    // An index that is known, such as a loop's.
    auto numbers = trace(rejection_, *cause_.reg, Follow::kNumber);
    auto added = [](const TraceEvent& e) { return e.kind == TraceEvent::Kind::kAdded; };
    if (std::any_of(numbers.begin(), numbers.end(), added)) explain_number(*cause_.reg, "offset");
    if (region && off && size) {
      refused(fmt::format("{} of {}, which has {}", bytes_text(*off, *size), region->name, region->size));
    } else {
      refused(fmt::format("R{} is {}", *cause_.reg, describe(reg)));
    }
    return;
  }
  bool is_size = cause_.code == Code::kSize;
  explain_number(*cause_.reg, is_size ? "size" : "offset");
  bool negative = reg.r64.smin < 0;
  bool without_limit = reg.r64.umax >= static_cast<u64>(kMaxVarOffset);
  if (!is_size && without_limit) cause_.code = Code::kUnbounded;
  std::string text = fmt::format("the {} is {}", is_size ? "size" : "offset", range_text(reg.r64));
  if (region) text += fmt::format(", {} has {} bytes", region->name, region->size);
  refused(std::move(text));
  if (negative && reg.r64.smax < kMaxVarOffset) {
    report_.help = fmt::format("the lower limit is missing: make the {0} unsigned, or check that it is not negative",
                               is_size ? "size" : "index");
  } else if (negative) {
    report_.help = fmt::format("both limits are missing: make the {0} unsigned and compare it with the number of {1}",
                               is_size ? "size" : "index", is_size ? "bytes" : "elements");
  } else if (!is_size) {
    report_.help =
        "the upper limit is missing: `if (index >= COUNT) return 0;` before the access, or `index &= COUNT - 1`";
    if (!without_limit) report_.help = "the upper limit is too high: compare with what the memory holds";
  }
}

void Explainer::explain_stack_bounds() {
  auto off = number(" off="), size = number(" size=");
  if (off && size && *off < 0 && *off >= -kMaxStack) {
    report_.help = refused_call().empty()
                       ? "access what lies below the frame pointer only: offset plus size is at most 0"
                       : "pass the size of the very buffer: sizeof(buffer)";
    return refused(fmt::format("{} bytes, but only {} are left from there to the end of the stack", *size, -*off));
  }
  if (off && size) {
    if (*off >= 0) report_.help = "variables lie below the frame pointer, at negative offsets";
    return refused(fmt::format("{} bytes at {} from the frame pointer; the stack is the {} bytes below it", *size, *off,
                               kMaxStack));
  }
  if (!subject()) return explain_register();
  explain_number(*cause_.reg, "offset");
  refused(fmt::format("the offset in the stack is {}", range_text(subject()->r64)));
  report_.help = "keep the index within the array: `if (index >= COUNT) return 0;`, or `index &= COUNT - 1`";
}

// The size is in the register after the memory's; a message may name the one, the other or none.
void Explainer::explain_zero_size() {
  const HelperProto* proto = nullptr;
  const Insn& insn = rejection_.insns[*cause_.insn];
  if (is_helper_call(insn) && rejection_.ops && rejection_.ops->helper)
    proto = rejection_.ops->helper(static_cast<u32>(insn.imm), rejection_.info);
  for (u32 i = 0; proto && i < std::size(proto->args); ++i) {
    const Reg& size = rejection_.regs[BPF_REG_1 + i];
    if (base_type(proto->args[i]) != kArgConstSize || !size.is_scalar() || size.r64.umin != 0) continue;
    explain_number(BPF_REG_1 + i, "size");
    if (size.r64.umax == 0) report_.help = "pass the number of bytes, which is at least 1";
    return refused(fmt::format("the size is {}, and {} takes at least 1 byte", range_text(size.r64), refused_call()));
  }
  refused("a size of 0");
}

// A pointer and a number: both decide.
void Explainer::explain_arithmetic() {
  const Insn* insn = cause_.insn ? &rejection_.insns[*cause_.insn] : nullptr;
  const bool adds = insn && rejection_.exploring && BPF_CLASS(insn->code) == BPF_ALU64 && BPF_SRC(insn->code) == BPF_X;
  if (!adds || BPF_OP(insn->code) == BPF_MOV) return explain_register();
  if (!cause_.reg) cause_.reg = insn->dst_reg;
  for (u32 reg : {u32{insn->dst_reg}, u32{insn->src_reg}})
    if (rejection_.regs[reg].is_scalar()) note(fmt::format("R{} is {}", reg, describe(rejection_.regs[reg])));
  explain_register();
}

void Explainer::explain_uninitialised() {
  auto events = trace(rejection_, *cause_.reg, Follow::kValue);
  bool is_result = rejection_.insns[*cause_.insn].code == (BPF_JMP | BPF_EXIT);
  if (!events.empty() && events.back().kind == TraceEvent::Kind::kLost) {
    label(events.back().insn, fmt::format("R{} is lost in this call: only R6 to R9 survive one", *cause_.reg));
    report_.help = "keep the value in a variable that is set before the call and used after it";
  } else if (is_result) {
    report_.help = "return a value on every path";
  }
  refused(fmt::format("R{}{} has no value here", *cause_.reg, is_result ? ", the return value," : ""));
}

void Explainer::explain_uninit_stack() {
  auto off = number("off "), first = number("+"), size = number("size ");
  std::string call = refused_call();
  std::string text = call.empty() ? "read here" : fmt::format("{} reads it", call);
  if (off && first && size) {
    text += *first == 0 ? fmt::format(": {} bytes at {} from the frame pointer", *size, *off)
                        : fmt::format(": byte {} of the {} at {} from the frame pointer", *first, *size, *off);
    if (*first != 0) {
      note("the bytes before it were written: a member that was forgotten, or padding between members");
    }
  }
  refused(std::move(text));
}

void Explainer::explain_packet() {
  auto off = number(" off="), size = number(" size="), range = number("r=");
  if (!subject() || !off || !size) return explain_register();
  label_origin(*cause_.reg, "the pointer");
  if (auto check = last_packet_check(rejection_)) {
    label(*check, range && *range > 0 ? fmt::format("{} bytes are checked here", *range)
                                      : "compared here, which on this path says nothing of this pointer's bytes");
  }
  bool fixed = subject()->var_off.is_const();
  std::string known = range && *range > 0 ? fmt::format("only {} were checked", *range) : "none were checked";
  refused(fmt::format("{}{}, {} on this path", bytes_text(*off, *size),
                      fixed ? " of the packet" : " behind the pointer", known));
  if (fixed) {
    report_.help = fmt::format("compare before the access: `if (data + {} > data_end) return 0;`", *off + *size);
  } else {
    report_.help = "compare the very pointer that is used with data_end, after the offset was added to it";
  }
}

void Explainer::explain_return() {
  if (!rejection_.exploring) return refused("refused here");
  const Reg& result = rejection_.regs[BPF_REG_0];
  label_origin(BPF_REG_0, "the value");
  refused(fmt::format("R0 is {}", describe(result)));
  const std::string allowed = allowed_values(report_.verifier);
  if (!allowed.empty()) report_.help = fmt::format("return {}", allowed);
}

}  // namespace bpfemu

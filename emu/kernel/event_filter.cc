// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/event_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>
#include <tuple>
#include <utility>

#include "emu/base/bytes.h"
#include "emu/kernel/kstrtox.h"

namespace bpfemu {

namespace {

constexpr size_t kCommSize = 16;  // TASK_COMM_LEN
constexpr size_t kMaxText = 256;  // kernel: MAX_FILTER_STR_VAL
constexpr size_t kMaxDigits = 24;
constexpr size_t kMaxUserText = 1024;  // kernel: USTRING_BUF_SIZE
// The kernel's own numbers for what is out of place leave it as the errno (kernel: calc_stack, predicate_parse).
constexpr int kTooManyClose = 1, kTooManyOpen = 2, kMissingQuote = 3, kOutOfPlace = 1;

bool is_blank(char c) {
  return std::isspace(static_cast<unsigned char>(c));
}
bool is_letter(char c) {
  return std::isalnum(static_cast<unsigned char>(c));
}
bool is_word(char c) {
  return is_letter(c) || c == '_';
}
bool is_quote(char c) {
  return c == '"' || c == '\'';
}

// Does the class that follows a "[" hold the character? `pattern` is moved behind it. No: it is no class.
std::optional<bool> in_class(std::string_view& pattern, char c) {
  size_t at = 0;
  const bool inverted = pattern.starts_with('!');
  if (inverted) ++at;
  bool found = false;
  for (bool first = true; at < pattern.size(); first = false) {
    if (pattern[at] == ']' && !first) {
      pattern.remove_prefix(at + 1);
      return found != inverted;
    }
    const char low = pattern[at];
    const bool range = at + 2 < pattern.size() && pattern[at + 1] == '-' && pattern[at + 2] != ']';
    const char high = range ? pattern[at + 2] : low;
    found |= low <= c && c <= high;
    at += range ? 3 : 1;
  }
  return std::nullopt;
}

// `*` any characters, `?` one, `[...]` one of a class, a backslash takes the next as it is (kernel: glob_match). Only
// the last `*` is ever tried anew.
bool glob(std::string_view pattern, std::string_view text) {
  std::optional<std::pair<std::string_view, std::string_view>> again;  // behind the last star, and what it may skip yet
  for (;;) {
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      again = {pattern, text};
      continue;
    }
    bool good = false;
    if (text.empty()) {
      if (pattern.empty()) return true;
    } else if (!pattern.empty()) {
      const char wanted = pattern[0];
      pattern.remove_prefix(1);
      const auto member = wanted == '[' ? in_class(pattern, text[0]) : std::nullopt;
      if (member) {
        good = *member;
      } else if (wanted == '\\' && !pattern.empty()) {
        good = pattern[0] == text[0];
        pattern.remove_prefix(1);
      } else {
        good = wanted == '?' || wanted == text[0];
      }
      text.remove_prefix(1);
    }
    if (good) continue;
    if (!again || again->second.empty()) return false;
    again->second.remove_prefix(1);
    std::tie(pattern, text) = *again;
  }
}

u64 number_at(std::span<const u8> record, const EventField& field) {
  if (field.offset + field.size > record.size()) return 0;
  const u8* at = record.data() + field.offset;
  switch (field.size) {
    case 1: return field.is_signed ? static_cast<u64>(s64{load<s8>(at)}) : load<u8>(at);
    case 2: return field.is_signed ? static_cast<u64>(s64{load<s16>(at)}) : load<u16>(at);
    case 4: return field.is_signed ? static_cast<u64>(s64{load<s32>(at)}) : load<u32>(at);
    case 8: return load<u64>(at);
    default: return 0;
  }
}

std::string_view text_at(std::span<const u8> record, u64 offset, u64 size) {
  if (offset > record.size() || size > record.size() - offset) return {};
  const char* at = reinterpret_cast<const char*>(record.data() + offset);
  return {at, strnlen(at, size)};
}

}  // namespace

// One pass from left to right, since the first fault is what is told (kernel: predicate_parse).
class FilterParser {
 public:
  FilterParser(std::string_view text, std::string_view format, FilterFault& fault)
      : text_(text), fields_(fields_of(format)), fault_(fault) {}

  Result<EventFilter> parse() {
    if (TRY(check_brackets()) == 0) return fail(EINVAL);
    for (;;) {
      TRY(before_predicate());
      TRY(predicate());
      if (TRY(behind_predicate())) return std::move(filter_);
    }
  }

 private:
  using Op = EventFilter::Op;
  using Step = EventFilter::Step;
  using Source = EventFilter::Source;
  // What waits for the values that follow: of a bracket what stood before it counts once it closes.
  enum class Waiting : u8 { kBracket, kNot, kAnd, kOr };

  char at() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_blanks() {
    while (is_blank(at())) ++at_;
  }
  bool take(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  std::string_view take_while(auto belongs) {
    const size_t from = at_;
    while (at_ < text_.size() && belongs(text_[at_])) ++at_;
    return text_.substr(from, at_ - from);
  }
  std::unexpected<Errno> refuse(size_t position, const char* text, int error = EINVAL) {
    fault_ = {text, position};
    return fail(error);
  }
  // Within a predicate the kernel counts from one.
  std::unexpected<Errno> refuse_here(const char* text) { return refuse(at_ + 1, text); }

  Result<size_t> check_brackets();
  Result<void> before_predicate();
  Result<void> predicate();
  Result<bool> behind_predicate();
  Result<EventFilter::Predicate> subject(std::string_view name);
  Result<void> text_value(EventFilter::Predicate& predicate);
  Result<void> number_value(EventFilter::Predicate& predicate);
  static Source source_of(const EventField& field);
  static bool is_text(Source source) { return source != Source::kNumber && source != Source::kCpu; }

  // A value is complete: what waited for it, down to `lowest`, can be done.
  void settle(Waiting lowest) {
    while (!waiting_.empty() && waiting_.back() != Waiting::kBracket && waiting_.back() <= lowest) {
      constexpr Step kSteps[] = {Step::kPredicate, Step::kNot, Step::kAnd, Step::kOr};
      filter_.steps_.push_back(kSteps[static_cast<size_t>(waiting_.back())]);
      waiting_.pop_back();
    }
  }

  std::string_view text_;
  std::vector<EventField> fields_;
  FilterFault& fault_;
  size_t at_ = 0;
  std::vector<Waiting> waiting_;
  EventFilter filter_;
};

// Brackets and quotes must close; the kernel looks first. The number of words outside of brackets and operators.
Result<size_t> FilterParser::check_brackets() {
  std::vector<size_t> open;
  size_t words = 0, quoted_at = 0;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text_.size(); ++i) {
    const char c = text_[i];
    if (is_blank(c)) continue;
    if (quote) {
      if (c == quote) quote = 0;
      continue;
    }
    const bool joins = (c == '|' || c == '&') && i + 1 < text_.size() && text_[i + 1] == c;
    if (c == '(') open.push_back(i);
    if (c == ')') {
      if (open.empty()) return refuse(i, "Too few '('", kTooManyClose);
      open.pop_back();
    }
    if (joins || c == '(' || c == ')') {
      in_word = false;
      continue;
    }
    if (is_quote(c)) quote = c, quoted_at = i;
    if (!std::exchange(in_word, true)) ++words;
  }
  if (quote) return refuse(quoted_at, "Missing matching quote", kMissingQuote);
  if (!open.empty()) return refuse(open.back(), "Too many '('", kTooManyOpen);
  return words;
}

// Brackets that open, and what turns the meaning round.
Result<void> FilterParser::before_predicate() {
  for (;;) {
    skip_blanks();
    if (at_ >= text_.size()) {
      const bool first = filter_.predicates_.empty();
      return refuse(text_.size(), first ? "No filter found" : "Meaningless filter expression");
    }
    const bool turns =
        at() == '!' && !text_.substr(at_ + 1).starts_with('=') && !text_.substr(at_ + 1).starts_with('~');
    if (at() != '(' && !turns) return {};
    // Twice is not at all.
    if (turns && !waiting_.empty() && waiting_.back() == Waiting::kNot) {
      waiting_.pop_back();
    } else {
      waiting_.push_back(turns ? Waiting::kNot : Waiting::kBracket);
    }
    ++at_;
  }
}

// The end, or what joins the next predicate, behind brackets that close: is it the end?
Result<bool> FilterParser::behind_predicate() {
  for (;;) {
    skip_blanks();
    if (at_ >= text_.size()) {
      settle(Waiting::kOr);
      return true;
    }
    if (take("&&")) {
      settle(Waiting::kAnd);
      waiting_.push_back(Waiting::kAnd);
      return false;
    }
    if (take("||")) {
      settle(Waiting::kOr);
      waiting_.push_back(Waiting::kOr);
      return false;
    }
    if (at() != ')') return refuse(at_, "Too many terms in predicate expression", kOutOfPlace);
    ++at_;
    settle(Waiting::kOr);
    if (!waiting_.empty()) waiting_.pop_back();
    settle(Waiting::kNot);
  }
}

Result<void> FilterParser::predicate() {
  const std::string_view name = take_while(is_word);
  if (name.empty()) return fail(kOutOfPlace);
  EventFilter::Predicate predicate = TRY(subject(name));
  if (take(".ustring") && predicate.source == Source::kPointerText) predicate.source = Source::kUserText;
  skip_blanks();
  constexpr std::pair<std::string_view, Op> kOps[] = {{"~", Op::kGlob}, {"!=", Op::kNe}, {"==", Op::kEq},
                                                      {"<=", Op::kLe},  {"<", Op::kLt},  {">=", Op::kGe},
                                                      {">", Op::kGt},   {"&", Op::kAnd}};
  const auto op = std::ranges::find_if(kOps, [&](const auto& each) { return take(each.first); });
  if (op == std::end(kOps)) return refuse_here("Invalid operator");
  predicate.op = op->second;
  skip_blanks();
  if (is_quote(at())) {
    TRY(text_value(predicate));
  } else if (std::isdigit(static_cast<unsigned char>(at())) || at() == '-') {
    TRY(number_value(predicate));
  } else {
    return refuse_here("Invalid value (did you forget quotes)?");
  }
  filter_.predicates_.push_back(std::move(predicate));
  filter_.steps_.push_back(Step::kPredicate);
  settle(Waiting::kNot);
  return {};
}

// A field of the event, or one that every event has (kernel: ftrace_generic_fields).
Result<EventFilter::Predicate> FilterParser::subject(std::string_view name) {
  EventFilter::Predicate predicate{};
  if (auto field = std::ranges::find(fields_, name, &EventField::name); field != fields_.end()) {
    predicate.source = source_of(*field);
    predicate.field = *field;
    predicate.field.type = predicate.field.name = {};
    return predicate;
  }
  predicate.field.is_signed = true;
  predicate.field.size = sizeof(int);
  if (name == "CPU" || name == "cpu") {
    predicate.source = Source::kCpu;
  } else if (name == "COMM" || name == "comm") {
    predicate.source = Source::kComm;
  } else {
    return refuse_here("Field not found");
  }
  return predicate;
}

// kernel: filter_assign_type.
FilterParser::Source FilterParser::source_of(const EventField& field) {
  const bool characters = field.type.find("char") != std::string_view::npos;
  if (field.type.starts_with("__data_loc") && characters) return Source::kDynamicText;
  if (field.type.starts_with("__rel_loc") && characters) return Source::kDynamicText;
  if (field.type == "char *" || field.type == "const char *") return Source::kPointerText;
  return characters && field.size > 1 ? Source::kText : Source::kNumber;
}

Result<void> FilterParser::text_value(EventFilter::Predicate& predicate) {
  if (predicate.op != Op::kGlob && predicate.op != Op::kEq && predicate.op != Op::kNe) {
    return refuse_here("Illegal operation for field type");
  }
  if (!is_text(predicate.source)) return refuse_here("Expecting numeric field");
  const char quote = text_[at_++];
  std::string_view text = take_while([=](char c) { return c != quote; });
  if (text.size() >= kMaxText) return refuse_here("Operand too long");
  ++at_;
  if (predicate.op == Op::kGlob && text.starts_with('!')) {
    predicate.inverted = true;
    text.remove_prefix(1);
  }
  // A pattern that begins with a digit is none (kernel: MATCH_INDEX).
  if (predicate.op == Op::kGlob && !text.empty() && std::isdigit(static_cast<unsigned char>(text[0]))) {
    predicate.op = predicate.inverted ? Op::kNe : Op::kEq;
  }
  predicate.text = text;
  return {};
}

Result<void> FilterParser::number_value(EventFilter::Predicate& predicate) {
  if (is_text(predicate.source)) return refuse_here("Expecting string field");
  if (predicate.op == Op::kGlob) return refuse_here("Illegal operation for field type");
  const size_t from = at_;
  if (at() == '-') ++at_;
  take_while(is_letter);
  const std::string_view digits = text_.substr(from, at_ - from);
  if (digits.size() >= kMaxDigits) return refuse_here("Operand too long");
  constexpr const char* kNoNumber = "Illegal integer value";
  if (predicate.field.is_signed) {
    auto number = kstrtol(digits);
    if (!number) return refuse(from + 1, kNoNumber);
    predicate.number = static_cast<u64>(*number);
  } else {
    auto number = kstrtoul(digits);
    if (!number) return refuse(from + 1, kNoNumber);
    predicate.number = *number;
  }
  // What is compared is as wide as the field.
  const u32 spare = predicate.field.size < sizeof(u64) ? 64 - 8 * predicate.field.size : 0;
  if (predicate.field.is_signed) {
    predicate.number = static_cast<u64>(static_cast<s64>(predicate.number << spare) >> spare);
  } else {
    predicate.number = predicate.number << spare >> spare;
  }
  return {};
}

std::string describe_fault(std::string_view filter, const FilterFault& fault) {
  std::string out(filter);
  if (!fault.text) return out + "\nError: (0)\n";
  size_t column = std::min(fault.position, filter.size());
  if (column) ++column;  // as the kernel counts
  return out + fmt::format("\n{:>{}}\nparse_error: {}\n", "^", column, fault.text);
}

Result<EventFilter> EventFilter::parse(std::string_view text, std::string_view format, FilterFault* fault) {
  FilterFault unwanted;
  return FilterParser(text, format, fault ? *fault : unwanted).parse();
}

// "*end": of an array, the kernel compares with what stands at the array's end, be that behind the text (kernel:
// regex_match_end).
bool EventFilter::Predicate::glob_matches(std::string_view found) const {
  const bool array = source == Source::kText || source == Source::kComm;
  const bool ends_only = text.size() > 1 && text[0] == '*' && text.find_first_of("*?[\\", 1) == text.npos;
  const size_t room = source == Source::kComm ? kCommSize : field.size;
  return (!array || !ends_only || found.size() == room - 1) && glob(text, found);
}

bool EventFilter::Predicate::text_matches(std::string_view found) const {
  if (op == Op::kGlob) return glob_matches(found) != inverted;
  return (found == text) == (op == Op::kEq);
}

bool EventFilter::Predicate::test(const FilteredRecord& filtered) const {
  switch (source) {
    case Source::kText: return text_matches(text_at(filtered.record, field.offset, field.size));
    case Source::kDynamicText: {
      const u64 location = number_at(filtered.record, field);
      return text_matches(text_at(filtered.record, location & 0xffff, location >> 16 & 0xffff));
    }
    case Source::kPointerText: return false;
    case Source::kUserText: {
      if (!filtered.user_text) return false;
      const auto found = filtered.user_text(number_at(filtered.record, field), kMaxUserText);
      return found && text_matches(*found);
    }
    case Source::kComm: return text_matches(filtered.comm);
    case Source::kCpu:
    case Source::kNumber: break;
  }
  // No function compares anything wider, and none looks at bits of the CPU's number.
  if (field.size > sizeof(u64) || (source == Source::kCpu && op == Op::kAnd)) return false;
  const u64 found = source == Source::kCpu ? filtered.cpu : number_at(filtered.record, field);
  auto ordered = [&](auto a, auto b) {
    switch (op) {
      case Op::kLt: return a < b;
      case Op::kLe: return a <= b;
      case Op::kGt: return a > b;
      case Op::kGe: return a >= b;
      case Op::kEq: return a == b;
      case Op::kNe: return a != b;
      default: return (a & b) != 0;
    }
  };
  return field.is_signed ? ordered(static_cast<s64>(found), static_cast<s64>(number)) : ordered(found, number);
}

bool EventFilter::asks_comm() const {
  return std::ranges::any_of(predicates_, [](const Predicate& each) { return each.source == Source::kComm; });
}

bool EventFilter::matches(const FilteredRecord& record) const {
  std::vector<bool> values;
  size_t next = 0;
  for (const Step step : steps_) {
    if (step == Step::kPredicate) {
      values.push_back(predicates_[next++].test(record));
      continue;
    }
    const bool last = values.back();
    if (step == Step::kNot) {
      values.back() = !last;
      continue;
    }
    values.pop_back();
    values.back() = step == Step::kAnd ? values.back() && last : values.back() || last;
  }
  return values.back();
}

}  // namespace bpfemu

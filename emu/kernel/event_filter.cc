// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/event_filter.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>

#include "emu/base/bytes.h"
#include "emu/kernel/kstrtox.h"

namespace bpfemu {

namespace {

constexpr size_t kMaxText = 256;  // kernel: MAX_FILTER_STR_VAL
constexpr u32 kMaxDepth = 64;
constexpr int kNoOperator = 1;  // the errno for what is no operator where one must be, or one where none may be

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

// Brackets and quotes must close. The kernel looks first, and its own numbers for what is wrong leave it as the errno
// (kernel: calc_stack).
constexpr int kTooManyClose = 1, kTooManyOpen = 2, kMissingQuote = 3;
Result<void> check_brackets(std::string_view text) {
  int open = 0;
  char quote = 0;
  for (char c : text) {
    if (quote) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '(') {
      ++open;
    } else if (c == ')' && --open < 0) {
      return fail(kTooManyClose);
    }
  }
  if (quote) return fail(kMissingQuote);
  return open ? fail(kTooManyOpen) : Result<void>{};
}

// `*` any characters, `?` one, `[...]` one of a class (kernel: glob_match).
bool glob(std::string_view pattern, std::string_view text) {
  while (!pattern.empty()) {
    if (pattern[0] == '*') {
      for (size_t skip = 0; skip <= text.size(); ++skip) {
        if (glob(pattern.substr(1), text.substr(skip))) return true;
      }
      return false;
    }
    if (text.empty()) return false;
    size_t used = 1;
    bool good = pattern[0] == '?' || pattern[0] == text[0];
    if (const size_t end = pattern.find(']', 2); pattern[0] == '[' && end != std::string_view::npos) {
      std::string_view set = pattern.substr(1, end - 1);
      const bool inverted = set[0] == '!';
      if (inverted) set.remove_prefix(1);
      good = false;
      for (size_t i = 0; i < set.size(); ++i) {
        const bool range = i + 2 < set.size() && set[i + 1] == '-';
        good |= range ? text[0] >= set[i] && text[0] <= set[i + 2] : text[0] == set[i];
        if (range) i += 2;
      }
      good ^= inverted;
      used = end + 1;
    }
    if (!good) return false;
    pattern.remove_prefix(used);
    text.remove_prefix(1);
  }
  return text.empty();
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

// Recursive descent: || binds weakest, then &&, then !.
class FilterParser {
 public:
  FilterParser(std::string_view text, std::string_view format) : text_(text), fields_(fields_of(format)) {}

  Result<EventFilter> parse() {
    TRY(check_brackets(text_));
    TRY(either(0));
    if (!rest().empty()) return fail(kNoOperator);
    return std::move(filter_);
  }

 private:
  using Op = EventFilter::Op;
  using Kind = EventFilter::Kind;
  using Source = EventFilter::Source;

  // What is left, without the blanks in front.
  std::string_view rest() {
    while (!text_.empty() && std::isspace(static_cast<unsigned char>(text_[0]))) text_.remove_prefix(1);
    return text_;
  }
  bool take(std::string_view token) {
    if (!rest().starts_with(token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }
  std::string_view take_word(auto belongs) {
    size_t size = 0;
    while (size < text_.size() && belongs(text_[size])) ++size;
    std::string_view word = text_.substr(0, size);
    text_.remove_prefix(size);
    return word;
  }
  u32 add(EventFilter::Node node) {
    filter_.nodes_.push_back(node);
    return static_cast<u32>(filter_.nodes_.size() - 1);
  }

  Result<u32> either(u32 depth) {
    u32 left = TRY(both(depth));
    while (take("||")) {
      const u32 right = TRY(both(depth));
      left = add({Kind::kOr, left, right});
    }
    return left;
  }
  Result<u32> both(u32 depth) {
    u32 left = TRY(one(depth));
    while (take("&&")) {
      const u32 right = TRY(one(depth));
      left = add({Kind::kAnd, left, right});
    }
    return left;
  }
  Result<u32> one(u32 depth) {
    if (depth > kMaxDepth) return fail(EINVAL);
    if (take("!")) return add({Kind::kNot, TRY(one(depth + 1)), 0});
    if (!take("(")) return predicate();
    const u32 inner = TRY(either(depth + 1));
    if (!take(")")) return fail(EINVAL);
    return inner;
  }

  Result<u32> predicate() {
    if (rest().starts_with("&&") || rest().starts_with("||")) return fail(kNoOperator);
    EventFilter::Predicate predicate = TRY(subject(take_word(is_word)));
    const bool text = predicate.source != Source::kNumber && predicate.source != Source::kCpu;
    if (take(".ustring") && !text) return fail(EINVAL);
    predicate.op = TRY(operation());
    TRY(text ? text_value(predicate) : number_value(predicate));
    filter_.predicates_.push_back(std::move(predicate));
    return add({Kind::kPredicate, static_cast<u32>(filter_.predicates_.size() - 1), 0});
  }

  // A field of the event, or one that every event has (kernel: ftrace_generic_fields).
  Result<EventFilter::Predicate> subject(std::string_view name) {
    auto field = std::find_if(fields_.begin(), fields_.end(), [=](const EventField& f) { return f.name == name; });
    if (field == fields_.end()) {
      EventFilter::Predicate generic{};
      if (name != "CPU" && name != "cpu" && name != "COMM" && name != "comm") return fail(EINVAL);
      generic.source = name == "CPU" || name == "cpu" ? Source::kCpu : Source::kComm;
      generic.field.is_signed = true;
      return generic;
    }
    EventFilter::Predicate predicate{};
    predicate.source = source_of(*field);
    predicate.field = *field;
    predicate.field.type = predicate.field.name = {};
    return predicate;
  }
  static Source source_of(const EventField& field) {
    if (field.type.starts_with("__data_loc char") || field.type.starts_with("__rel_loc char")) return Source::kDynamicText;
    if (field.type == "char *" || field.type == "const char *") return Source::kPointerText;
    const bool characters = field.type == "char" || field.type == "const char" || field.type == "unsigned char";
    return characters && field.size > 1 ? Source::kText : Source::kNumber;
  }

  Result<Op> operation() {
    constexpr std::pair<std::string_view, Op> kOps[] = {{"~", Op::kGlob}, {"!=", Op::kNe}, {"==", Op::kEq},
                                                        {"<=", Op::kLe},  {"<", Op::kLt},  {">=", Op::kGe},
                                                        {">", Op::kGt},   {"&", Op::kAnd}};
    for (auto [token, op] : kOps) {
      if (take(token)) return op;
    }
    return fail(EINVAL);
  }

  Result<void> text_value(EventFilter::Predicate& predicate) {
    if (predicate.op != Op::kGlob && predicate.op != Op::kEq && predicate.op != Op::kNe) return fail(EINVAL);
    const char quote = rest().empty() ? '\0' : text_[0];
    if (quote != '"' && quote != '\'') return fail(EINVAL);
    const size_t end = text_.find(quote, 1);
    if (end == std::string_view::npos || end - 1 >= kMaxText) return fail(EINVAL);
    predicate.text = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return {};
  }

  Result<void> number_value(EventFilter::Predicate& predicate) {
    if (predicate.op == Op::kGlob) return fail(EINVAL);
    rest();
    const std::string_view digits = take_word([](char c) { return is_word(c) || c == '-'; });
    if (predicate.field.is_signed) {
      auto number = kstrtol(digits);
      if (!number) return fail(EINVAL);
      predicate.number = static_cast<u64>(*number);
    } else {
      auto number = kstrtoul(digits);
      if (!number) return fail(EINVAL);
      predicate.number = *number;
    }
    return {};
  }

  std::string_view text_;
  std::vector<EventField> fields_;
  EventFilter filter_;
};

Result<EventFilter> EventFilter::parse(std::string_view text, std::string_view format) {
  return FilterParser(text, format).parse();
}

bool EventFilter::Predicate::test(const FilteredRecord& filtered) const {
  auto text_matches = [&](std::string_view found) {
    if (op == Op::kGlob) return glob(text, found);
    return (found == text) == (op == Op::kEq);
  };
  switch (source) {
    case Source::kText: return text_matches(text_at(filtered.record, field.offset, field.size));
    case Source::kDynamicText: {
      const u64 location = number_at(filtered.record, field);
      return text_matches(text_at(filtered.record, location & 0xffff, location >> 16 & 0xffff));
    }
    case Source::kPointerText: return op == Op::kNe;
    case Source::kComm: return text_matches(filtered.comm);
    case Source::kCpu:
    case Source::kNumber: break;
  }
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

bool EventFilter::evaluate(u32 index, const FilteredRecord& record) const {
  const Node& node = nodes_[index];
  switch (node.kind) {
    case Kind::kPredicate: return predicates_[node.left].test(record);
    case Kind::kNot: return !evaluate(node.left, record);
    case Kind::kAnd: return evaluate(node.left, record) && evaluate(node.right, record);
    case Kind::kOr: return evaluate(node.left, record) || evaluate(node.right, record);
  }
  return false;
}

bool EventFilter::asks_comm() const {
  return std::ranges::any_of(predicates_, [](const Predicate& each) { return each.source == Source::kComm; });
}

bool EventFilter::matches(const FilteredRecord& record) const {
  return evaluate(static_cast<u32>(nodes_.size() - 1), record);
}

}  // namespace bpfemu

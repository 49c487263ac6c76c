// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/print_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "emu/base/bytes.h"
#include "emu/kernel/dynamic_probe.h"

namespace bpfemu {

namespace {

// Of an expression: a number, a text, or an array in the record.
struct Value {
  u64 number = 0;
  std::string text{};
  std::span<const u8> bytes{};
  const EventField* array = nullptr;
};

// Of a string literal what it says; `at` is moved behind its last quote.
std::string unquote(std::string_view text, size_t& at) {
  std::string out;
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\' && at + 1 < text.size()) {
      ++at;
      out += text[at] == 'n' ? '\n' : text[at] == 't' ? '\t' : text[at];
    } else {
      out += text[at];
    }
  }
  ++at;
  return out;
}

// Where the expression that begins at `at` ends: at a comma outside of brackets and quotes, or at the end.
size_t end_of_argument(std::string_view text, size_t at) {
  int depth = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') {
      (void)unquote(text, at);
      --at;
    } else if (c == '(' || c == '{' || c == '[') {
      ++depth;
    } else if (c == ')' || c == '}' || c == ']') {
      --depth;
    } else if (c == ',' && depth == 0) {
      break;
    }
  }
  return std::min(at, text.size());
}

struct Operator {
  std::string_view token;
  int strength;
};
// The longer ones first.
constexpr Operator kOperators[] = {{"<<", 8}, {">>", 8}, {"<=", 7}, {">=", 7}, {"==", 6}, {"!=", 6},
                                   {"&&", 2}, {"||", 1}, {"<", 7},  {">", 7},  {"&", 5},  {"^", 4},
                                   {"|", 3},  {"+", 9},  {"-", 9},  {"*", 10}, {"/", 10}, {"%", 10}};

u64 apply(std::string_view op, u64 a, u64 b) {
  if (op == "<<") return b < 64 ? a << b : 0;
  if (op == ">>") return b < 64 ? a >> b : 0;
  if (op == "<=") return static_cast<s64>(a) <= static_cast<s64>(b);
  if (op == ">=") return static_cast<s64>(a) >= static_cast<s64>(b);
  if (op == "==") return a == b;
  if (op == "!=") return a != b;
  if (op == "&&") return a && b;
  if (op == "||") return a || b;
  switch (op[0]) {
    case '<': return static_cast<s64>(a) < static_cast<s64>(b);
    case '>': return static_cast<s64>(a) > static_cast<s64>(b);
    case '&': return a & b;
    case '^': return a ^ b;
    case '|': return a | b;
    case '+': return a + b;
    case '-': return a - b;
    case '*': return a * b;
    case '/': return b ? a / b : 0;
    default: return b ? a % b : 0;
  }
}

// Evaluates one expression while it reads it.
class Expression {
 public:
  Expression(std::string_view text, std::span<const u8> record, const std::vector<EventField>& fields)
      : text_(text), record_(record), fields_(fields) {}

  // None: it is not understood.
  std::optional<Value> value() {
    Value result = choice();
    skip();
    if (failed_ || at_ < text_.size()) return std::nullopt;
    return result;
  }

 private:
  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  bool take(std::string_view token) {
    skip();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  void expect(std::string_view token) { failed_ |= !take(token); }
  std::string_view word() {
    skip();
    const size_t from = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_')) ++at_;
    return text_.substr(from, at_ - from);
  }

  Value choice() {
    Value condition = binary(1);
    if (failed_ || !take("?")) return condition;
    Value yes = choice();
    expect(":");
    Value no = choice();
    return condition.number ? yes : no;
  }

  Value binary(int weakest) {
    Value left = unary();
    while (!failed_) {
      skip();
      const auto op =
          std::ranges::find_if(kOperators, [&](const Operator& o) { return text_.substr(at_).starts_with(o.token); });
      if (op == std::end(kOperators) || op->strength < weakest) break;
      at_ += op->token.size();
      const Value right = binary(op->strength + 1);
      left = {.number = apply(op->token, left.number, right.number)};
    }
    return left;
  }

  Value unary() {
    if (++depth_ > kMaxDepth) failed_ = true;
    if (failed_) return {};
    Value result;
    if (take("!")) {
      result.number = !unary().number;
    } else if (take("~")) {
      result.number = ~unary().number;
    } else if (take("-")) {
      result.number = -unary().number;
    } else {
      result = primary();
    }
    --depth_;
    return result;
  }

  // "(TYPE)VALUE": numbers keep what fits into the type. Anything else in brackets is a value.
  Value bracketed() {
    const size_t from = at_;
    const size_t close = text_.find(')', at_);
    const std::string_view inside = text_.substr(at_, close == text_.npos ? 0 : close - at_);
    const bool name = !inside.empty() && std::ranges::all_of(inside, [](char c) {
      return std::isalpha(static_cast<unsigned char>(c)) || std::isdigit(static_cast<unsigned char>(c)) || c == '_' ||
             c == ' ' || c == '*';
    });
    const size_t first = inside.find_first_not_of(' ');
    if (name && first != inside.npos && !std::isdigit(static_cast<unsigned char>(inside[first])) &&
        !inside.starts_with("REC")) {
      at_ = close + 1;
      Value value = unary();
      if (value.array || !value.text.empty() || inside.find('*') != inside.npos) return value;
      if (inside.find("u8") != inside.npos || inside.find("char") != inside.npos) value.number &= 0xff;
      if (inside.find("16") != inside.npos || inside.find("short") != inside.npos) value.number &= 0xffff;
      if (inside.find("32") != inside.npos || inside == "int" || inside == "unsigned int") value.number &= 0xffffffff;
      return value;
    }
    at_ = from;
    Value value = choice();
    expect(")");
    return value;
  }

  Value primary() {
    skip();
    if (at_ >= text_.size()) return fault();
    if (text_[at_] == '"') return {.number = 1, .text = unquote(text_, at_)};
    if (take("(")) return bracketed();
    if (std::isdigit(static_cast<unsigned char>(text_[at_]))) return number();
    const std::string_view name = word();
    if (name == "REC") return field();
    if (name == "true" || name == "false") return {.number = name == "true"};
    if (!take("(")) return fault();
    return call(name);
  }

  Value fault() {
    failed_ = true;
    return {};
  }

  Value number() {
    const std::string digits(word());
    return {.number = std::strtoull(digits.c_str(), nullptr, 0)};  // behind them may stand "UL"
  }

  Value field() {
    expect("->");
    const auto found = std::ranges::find(fields_, word(), &EventField::name);
    if (failed_ || found == fields_.end() || found->offset + found->size > record_.size()) return fault();
    const auto bytes = record_.subspan(found->offset, found->size);
    if (take("[")) {
      const u64 index = choice().number;
      expect("]");
      const u32 size = element_size(found->type);
      if (index >= found->size / size) return fault();
      return {.number = number_in(bytes.subspan(index * size, size), found->is_signed)};
    }
    const bool one = found->size == 1 || found->size == 2 || found->size == 4 || found->size == 8;
    const bool array =
        !one || (found->type == "char" && found->size > 1) || (found->type.ends_with("u8") && found->size > 1);
    if (array) return {.number = 1, .bytes = bytes, .array = &*found};
    return {.number = number_in(bytes, found->is_signed)};
  }
  static u32 element_size(std::string_view type) {
    if (type.find("char") != type.npos || type.ends_with("u8")) return 1;
    if (type.find("short") != type.npos || type.ends_with("16")) return 2;
    return type.find("long") != type.npos || type.ends_with("64") || type.ends_with('*') ? 8 : 4;
  }
  static u64 number_in(std::span<const u8> bytes, bool is_signed) {
    u64 value = 0;
    memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
    const size_t spare = bytes.size() < sizeof value ? 64 - 8 * bytes.size() : 0;
    return is_signed ? static_cast<u64>(static_cast<s64>(value << spare) >> spare) : value;
  }

  Value call(std::string_view name) {
    if (name == "__get_str") {
      const auto found = std::ranges::find(fields_, word(), &EventField::name);
      expect(")");
      if (failed_ || found == fields_.end()) return fault();
      return {.number = 1, .text = std::string(located_text(record_, found->offset))};
    }
    if (name == "__print_flags" || name == "__print_symbolic") return names(name == "__print_flags");
    return fault();
  }

  // kernel: trace_print_flags_seq, trace_print_symbols_seq.
  Value names(bool flags) {
    u64 rest = choice().number;
    std::string delimiter, out;
    bool found = false;
    if (flags) {
      expect(",");
      delimiter = choice().text;
    }
    while (!failed_ && take(",")) {
      expect("{");
      const u64 mask = choice().number;
      expect(",");
      const std::string text = choice().text;
      expect("}");
      const bool fits = flags ? (rest & mask) == mask && mask : !found && rest == mask;
      if (!fits) continue;
      if (flags && found) out += delimiter;
      out += text;
      found = true;
      if (flags) rest &= ~mask;
    }
    expect(")");
    if (flags ? rest != 0 : !found) out += fmt::format("{}0x{:x}", found ? delimiter : "", rest);
    return {.number = 1, .text = out};
  }

  static constexpr int kMaxDepth = 100;
  std::string_view text_;
  std::span<const u8> record_;
  const std::vector<EventField>& fields_;
  size_t at_ = 0;
  int depth_ = 0;
  bool failed_ = false;
};

// One "%...": what it says, taken off the front of `format`.
struct Conversion {
  std::string flags;  // and width and precision
  int bits = 32;
  char kind = 0;
  std::string_view extension;  // of %p
};

Conversion take_conversion(std::string_view& format) {
  Conversion c;
  size_t at = 0;
  while (at < format.size() && std::string_view("-+ #0123456789.").find(format[at]) != std::string_view::npos)
    c.flags += format[at++];
  for (; at < format.size() && std::string_view("hlLqzt").find(format[at]) != std::string_view::npos; ++at) {
    c.bits = format[at] == 'h' ? c.bits / 2 : 64;
  }
  c.kind = at < format.size() ? format[at++] : '\0';
  size_t end = at;
  if (c.kind == 'p') {
    while (end < format.size() && std::isalnum(static_cast<unsigned char>(format[end]))) ++end;
  }
  c.extension = format.substr(at, end - at);
  format.remove_prefix(end);
  return c;
}

std::string padded(const std::string& flags, const std::string& text) {
  char buffer[512];
  snprintf(buffer, sizeof buffer, ("%" + flags + "s").c_str(), text.c_str());
  return buffer;
}

std::string number_text(const Conversion& c, u64 value) {
  if (c.bits < 64) value &= (u64{1} << c.bits) - 1;
  if (c.kind == 'd' || c.kind == 'i') {
    const int spare = 64 - c.bits;
    value = static_cast<u64>(static_cast<s64>(value << spare) >> spare);
  }
  char buffer[128];
  snprintf(buffer, sizeof buffer, ("%" + c.flags + "ll" + c.kind).c_str(), value);
  return buffer;
}

// kernel: ip6_compressed_string, and IPv4 addresses in it as such.
std::string ipv6_text(std::span<const u8> a) {
  u16 words[8];
  for (size_t i = 0; i < 8; ++i) words[i] = static_cast<u16>(a[2 * i] << 8 | a[2 * i + 1]);
  const bool v4 = std::ranges::all_of(a.first(10), [](u8 b) { return b == 0; }) && words[5] == 0xffff;
  const size_t count = v4 ? 6 : 8;
  size_t longest = 1, from = count;
  for (size_t i = 0; i < count; ++i) {
    size_t n = 0;
    while (i + n < count && words[i + n] == 0) ++n;
    if (n > longest) longest = n, from = i;
  }
  std::string out;
  bool colon = false;
  for (size_t i = 0; i < count; ++i) {
    if (i == from) {
      out += (i == 0 ? "::" : ":");
      i += longest - 1;
      colon = false;
      continue;
    }
    out += fmt::format("{}{:x}", colon ? ":" : "", words[i]);
    colon = true;
    if (i + 1 == from) out += ':', colon = false;
  }
  if (v4) out += fmt::format("{}{}.{}.{}.{}", out.ends_with(':') ? "" : ":", a[12], a[13], a[14], a[15]);
  return out;
}

}  // namespace

std::string_view located_text(std::span<const u8> record, u32 offset) {
  if (offset + sizeof(u32) > record.size()) return {};
  const u32 location = load<u32>(record.data() + offset);
  const size_t at = location & 0xffff, size = location >> 16;
  if (at > record.size() || size > record.size() - at) return {};
  const char* text = reinterpret_cast<const char*>(record.data() + at);
  return {text, strnlen(text, size)};
}

PrintFormat::PrintFormat(std::string_view format, SymbolText symbol_text)
    : fields_(fields_of(format)), symbol_text_(std::move(symbol_text)) {
  constexpr std::string_view kBegin = "print fmt: ";
  const size_t begin = format.find(kBegin);
  if (begin == format.npos) return;
  std::string_view line = format.substr(begin + kBegin.size());
  while (line.ends_with('\n')) line.remove_suffix(1);
  size_t at = end_of_argument(line, 0);
  text_ = line.substr(0, at);
  while (at < line.size()) {
    const size_t end = end_of_argument(line, at + 1);
    arguments_.push_back(line.substr(at + 1, end - at - 1));
    at = end;
  }
}

bool PrintFormat::print(std::span<const u8> record, std::string& out) const {
  if (!text_.starts_with('"')) return false;
  size_t at = 0, next = 0;
  const std::string format_text = unquote(text_, at);
  if (at < text_.size()) return false;  // literals in a row
  std::string_view format = format_text;
  while (!format.empty()) {
    const char c = format[0];
    format.remove_prefix(1);
    if (c != '%') {
      out += c;
      continue;
    }
    if (format.starts_with('%')) {
      out += '%';
      format.remove_prefix(1);
      continue;
    }
    const Conversion conversion = take_conversion(format);
    if (next >= arguments_.size()) return false;
    const auto value = Expression(arguments_[next++], record, fields_).value();
    if (!value) return false;
    const char* characters = reinterpret_cast<const char*>(value->bytes.data());
    switch (conversion.kind) {
      case 's':
        out += padded(conversion.flags,
                      value->array ? std::string(characters, strnlen(characters, value->bytes.size())) : value->text);
        break;
      case 'c': out += static_cast<char>(value->number); break;
      case 'p':
        if (conversion.extension.starts_with("I4") && value->bytes.size() >= 4) {
          out += fmt::format("{}.{}.{}.{}", value->bytes[0], value->bytes[1], value->bytes[2], value->bytes[3]);
        } else if (conversion.extension.starts_with("I6c") && value->bytes.size() >= 16) {
          out += ipv6_text(value->bytes);
        } else if (conversion.extension == "S" || conversion.extension == "s") {
          out += symbol_text_(value->number, conversion.extension == "S");
        } else if (conversion.extension.empty()) {
          out += hashed_pointer(value->number).substr(2);
        } else {
          return false;
        }
        break;
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o': out += number_text(conversion, value->number); break;
      default: return false;
    }
  }
  return true;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/fetch_args.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstring>

#include "emu/abi/pt_regs.h"
#include "emu/base/bytes.h"
#include "emu/kernel/kstrtox.h"
#include "emu/kernel/print_format.h"

namespace bpfemu {

namespace {

using enum ProbeError;

constexpr size_t kMaxText = 63;           // kernel: MAX_ARGSTR_LEN
constexpr size_t kMaxName = 32;           // kernel: MAX_ARG_NAME_LEN
constexpr u32 kMaxRecord = 3072;          // kernel: MAX_PROBE_EVENT_SIZE
constexpr u32 kMaxArray = 64;             // kernel: MAX_ARRAY_LEN
constexpr size_t kLastOp = 15;            // kernel: FETCH_INSN_MAX - 1, which ends the list
constexpr u64 kStackWords = 2048;         // kernel: PARAM_MAX_STACK
constexpr const char* kDefault = "x64";

constexpr FetchType kTypes[] = {
    {"string", "__data_loc char[]", "\\\"%s\\\"", 4, true, true},
    {"ustring", "__data_loc char[]", "\\\"%s\\\"", 4, true, true},
    {"symstr", "__data_loc char[]", "\\\"%s\\\"", 4, true, true},
    {"u8", "u8", "%u", 1, false, false},
    {"u16", "u16", "%u", 2, false, false},
    {"u32", "u32", "%u", 4, false, false},
    {"u64", "u64", "%Lu", 8, false, false},
    {"s8", "s8", "%d", 1, true, false},
    {"s16", "s16", "%d", 2, true, false},
    {"s32", "s32", "%d", 4, true, false},
    {"s64", "s64", "%Ld", 8, true, false},
    {"x8", "u8", "0x%x", 1, false, false},
    {"x16", "u16", "0x%x", 2, false, false},
    {"x32", "u32", "0x%x", 4, false, false},
    {"x64", "u64", "0x%Lx", 8, false, false},
    {"symbol", "u64", "%pS", 8, false, false},
};

struct Register {
  std::string_view name;
  size_t offset;
};
constexpr Register kRegisters[] = {
    {"r15", offsetof(PtRegs, r15)}, {"r14", offsetof(PtRegs, r14)},      {"r13", offsetof(PtRegs, r13)},
    {"r12", offsetof(PtRegs, r12)}, {"r11", offsetof(PtRegs, r11)},      {"r10", offsetof(PtRegs, r10)},
    {"r9", offsetof(PtRegs, r9)},   {"r8", offsetof(PtRegs, r8)},        {"bx", offsetof(PtRegs, rbx)},
    {"cx", offsetof(PtRegs, rcx)},  {"dx", offsetof(PtRegs, rdx)},       {"si", offsetof(PtRegs, rsi)},
    {"di", offsetof(PtRegs, rdi)},  {"bp", offsetof(PtRegs, rbp)},       {"ax", offsetof(PtRegs, rax)},
    {"ip", offsetof(PtRegs, rip)},  {"orig_ax", offsetof(PtRegs, orig_rax)}, {"cs", offsetof(PtRegs, cs)},
    {"sp", offsetof(PtRegs, rsp)},  {"flags", offsetof(PtRegs, eflags)}, {"ss", offsetof(PtRegs, ss)}};
constexpr std::string_view kReserved[] = {"common_type", "common_flags", "common_preempt_count", "common_pid",
                                          "common_tgid", "__probe_ip",   "__probe_ret_ip",       "__probe_func"};

// Null: no such type. A bit field "bWIDTH@OFFSET/CONTAINER" is kept in its container.
const FetchType* find_type(std::string_view name) {
  std::string container;
  if (name.starts_with('b')) {
    size_t slash = name.find('/');
    auto bits = kstrtoul(slash == name.npos ? "" : name.substr(slash + 1));
    if (!bits) return nullptr;
    container = "u" + std::to_string(*bits);
    name = container;
  }
  auto* type = std::ranges::find(kTypes, name, &FetchType::name);
  return type == std::end(kTypes) ? nullptr : type;
}

using Op = FetchOp;

class Parser {
 public:
  Parser(const ProbeCommand& command, size_t word, const FetchPlace& place)
      : command_(command), word_(word), place_(place) {}

  // "NAME=" is off; `offset` says where `text` begins in the word, `used` how large the record is so far.
  Result<void> body(std::string_view text, size_t offset, u32 used, FetchArg& arg);

 private:
  Result<void> source(std::string_view text, size_t offset, FetchArg& arg);
  Result<void> variable(std::string_view name, size_t offset, FetchArg& arg);
  Result<void> memory(std::string_view text, size_t offset, FetchArg& arg);
  Result<void> dereference(std::string_view text, size_t offset, FetchArg& arg);
  Result<void> immediate(std::string_view text, size_t offset, FetchArg& arg);
  Result<void> array(std::string_view type, size_t offset, FetchArg& arg);
  Result<void> store(std::string_view type, size_t offset, size_t type_offset, FetchArg& arg);
  Result<void> bit_field(std::string_view text, FetchArg& arg);
  // One step more: false when there is no room.
  bool step(FetchArg& arg, Op op, s64 value) {
    first(arg, op, value);
    return ++at_ < kLastOp;
  }
  void first(FetchArg& arg, Op op, s64 value = 0) {
    last_ = op;
    arg.steps.push_back({op, value});
  }
  std::unexpected<Errno> refuse(size_t offset, ProbeError error, int code = EINVAL) const {
    return command_.refuse(word_, offset, error, code);
  }

  const ProbeCommand& command_;
  size_t word_;
  const FetchPlace& place_;
  Op last_ = Op::kNumber;
  size_t at_ = 0;  // the step of last_
};

// Behind the dollar (kernel: parse_probe_vars).
Result<void> Parser::variable(std::string_view name, size_t offset, FetchArg& arg) {
  if (name == "retval") {
    if (!place_.on_return) return refuse(offset, kRetvalOnProbe);
    first(arg, Op::kRetval);
  } else if (name == "stack") {
    first(arg, Op::kStackPointer);
  } else if (name.starts_with("stack")) {
    auto number = kstrtoul(name.substr(5), 10);
    if (!std::isdigit(static_cast<unsigned char>(name[5])) || !number) return refuse(offset, kBadVariable);
    if (place_.kernel && *number > kStackWords) return refuse(offset, kBadStackNumber);
    first(arg, Op::kStack, static_cast<s64>(*number));
  } else if (name == "comm" || name == "COMM") {
    first(arg, Op::kComm);
  } else if (place_.kernel && place_.at_entry && !place_.on_return && name.starts_with("arg")) {
    auto number = kstrtoul(name.substr(3), 10);
    if (!number) return refuse(offset, kBadVariable);
    if (*number == 0 || *number > kStackWords) return refuse(offset, kBadArgNumber);
    first(arg, Op::kArg, static_cast<s64>(*number - 1));
  } else {
    return refuse(offset, kBadVariable);
  }
  return {};
}

// Behind the at sign: an address, a file offset or a symbol.
Result<void> Parser::memory(std::string_view text, size_t offset, FetchArg& arg) {
  if (!text.empty() && std::isdigit(static_cast<unsigned char>(text[0]))) {
    auto address = kstrtoul(text);
    if (!address) return refuse(offset, kBadMemoryAddress, address.error().value);
    first(arg, Op::kNumber, static_cast<s64>(*address));
  } else if (text.starts_with('+')) {
    if (place_.kernel) return refuse(offset, kFileOffsetOnKprobe);
    auto at = kstrtol(text.substr(1));
    if (!at) return refuse(offset, kBadFileOffset, at.error().value);
    first(arg, Op::kFileOffset, *at);
  } else {
    if (!place_.kernel) return refuse(offset, kSymbolOnUprobe);
    arg.symbols.emplace_back(text);
    if (!step(arg, Op::kSymbol, static_cast<s64>(arg.symbols.size() - 1))) return refuse(offset, kTooManyOps);
  }
  if (!step(arg, Op::kRead, 0)) return refuse(offset, kTooManyOps);
  return {};
}

// "+OFFSET(FETCHARG)", "-OFFSET(FETCHARG)", or with a "u" before the offset, of user memory. The columns of errors
// within are the kernel's, which forgets the "u".
Result<void> Parser::dereference(std::string_view text, size_t offset, FetchArg& arg) {
  bool minus = text[0] == '-';
  bool user = text.size() > 1 && text[1] == 'u';
  text.remove_prefix(user ? 2 : 1);
  size_t open = text.find('(');
  if (open == text.npos) return refuse(offset, kDerefNeedsBrace);
  std::string number = (minus ? "-" : "") + std::string(text.substr(0, open));
  const auto distance = kstrtol(number);
  if (!distance) return refuse(offset, kBadDerefOffset, distance.error().value);
  offset += number.size() + 1 + !number.starts_with('-');
  text.remove_prefix(open + 1);
  size_t close = text.rfind(')');
  if (close == text.npos) return refuse(offset + text.size(), kDerefOpen);
  TRY(source(text.substr(0, close), offset, arg));
  if (last_ == Op::kComm || last_ == Op::kText) return refuse(offset, kCommNoDeref);
  if (!step(arg, user ? Op::kReadUser : Op::kRead, *distance)) return refuse(offset, kTooManyOps);
  return {};
}

// Behind the backslash.
Result<void> Parser::immediate(std::string_view text, size_t offset, FetchArg& arg) {
  if (text.starts_with('"')) {
    text.remove_prefix(1);
    if (!text.ends_with('"')) return refuse(offset + 1 + text.size(), kImmediateOpen);
    arg.literal = text.substr(0, text.size() - 1);
    first(arg, Op::kText);
    return {};
  }
  Result<s64> number = fail(EINVAL);
  if (!text.empty() && std::isdigit(static_cast<unsigned char>(text[0]))) {
    if (auto value = kstrtoul(text)) {
      number = static_cast<s64>(*value);
    } else {
      number = fail(value.error().value);
    }
  } else if (text.starts_with('-') || text.starts_with('+')) {
    number = kstrtol(text.substr(text[0] == '+'));
  }
  if (!number) return refuse(offset, kBadImmediate, number.error().value);
  first(arg, Op::kNumber, *number);
  return {};
}

// kernel: parse_probe_arg.
Result<void> Parser::source(std::string_view text, size_t offset, FetchArg& arg) {
  switch (text.empty() ? '\0' : text[0]) {
    case '$': return variable(text.substr(1), offset, arg);
    case '%': {
      const auto* found = std::ranges::find(kRegisters, text.substr(1), &Register::name);
      if (found == std::end(kRegisters)) return refuse(offset, kBadRegister);
      first(arg, Op::kRegister, static_cast<s64>(found->offset));
      return {};
    }
    case '@': return memory(text.substr(1), offset, arg);
    case '+':
    case '-': return dereference(text, offset, arg);
    case '\\': return immediate(text.substr(1), offset + 1, arg);
    default: return refuse(offset, kBadFetchArg);
  }
}

// What stands behind the type's bracket: "N]".
Result<void> Parser::array(std::string_view number, size_t offset, FetchArg& arg) {
  size_t close = number.find(']');
  if (close == number.npos) return refuse(offset + number.size(), kArrayOpen);
  if (close + 1 != number.size()) return refuse(offset + close + 1, kBadArraySuffix);
  auto count = kstrtoul(number.substr(0, close));
  if (!count || *count == 0 || *count > ~u32{0}) return refuse(offset, kBadArrayNumber);
  if (*count > kMaxArray) return refuse(offset, kArrayTooBig);
  arg.count = static_cast<u32>(*count);
  return {};
}

// kernel: __parse_bitfield_probe_arg.
Result<void> Parser::bit_field(std::string_view text, FetchArg& arg) {
  text.remove_prefix(1);
  u64 width = simple_strtoul(text);
  if (width == 0 || !text.starts_with('@')) return fail(EINVAL);
  text.remove_prefix(1);
  size_t before = text.size();
  u64 shift = simple_strtoul(text);
  if (text.size() == before || !text.starts_with('/') || ++at_ >= kLastOp) return fail(EINVAL);
  if (width + shift > u64{arg.type->size} * 8) return fail(EINVAL);
  arg.bits = static_cast<u32>(width);
  arg.shift = static_cast<u32>(shift);
  return {};
}

// How what was fetched gets into the record: the second half of kernel: traceprobe_parse_probe_arg_body.
Result<void> Parser::store(std::string_view type, size_t offset, size_t type_offset, FetchArg& arg) {
  bool from_memory = last_ == Op::kRead || last_ == Op::kReadUser;
  bool value = !from_memory;
  bool repeatable = last_ == Op::kRead;
  if (arg.type->is_string) {
    bool symbol = std::string_view(arg.type->name) == "symstr";
    bool held = last_ == Op::kNumber || last_ == Op::kComm || last_ == Op::kText;
    bool word = last_ == Op::kRegister || last_ == Op::kStack || last_ == Op::kRetval || last_ == Op::kArg;
    if (symbol && !word && last_ != Op::kRead) return refuse(type_offset, kBadSymbolString);
    if (!symbol && !from_memory && !held) return refuse(type_offset, kBadString);
    value = symbol || held || arg.count;
    repeatable = !symbol;
  }
  if (value && ++at_ >= kLastOp) return refuse(offset, kTooManyOps);
  if (type.starts_with('b') && !bit_field(type, arg)) return refuse(type_offset, kBadBitfield);
  if (arg.count) {
    if (!repeatable) return refuse(type_offset, kBadString);
    if (++at_ >= kLastOp) return refuse(offset, kTooManyOps);
  }
  return {};
}

Result<void> Parser::body(std::string_view text, size_t offset, u32 used, FetchArg& arg) {
  if (text.size() > kMaxText) return refuse(offset, kArgTooLong);
  if (text.empty()) return refuse(offset, kNoArgBody);
  size_t colon = text.find(':');
  bool typed = colon != text.npos;
  std::string_view fetch = text.substr(0, colon), type = typed ? text.substr(colon + 1) : kDefault;
  size_t type_offset = typed ? offset + colon + 1 : offset;
  if (size_t bracket = type.find('['); typed && bracket != type.npos) {
    TRY(array(type.substr(bracket + 1), type_offset + bracket + 1, arg));
    type = type.substr(0, bracket);
  }
  if (fetch == "$comm" || fetch == "$COMM" || fetch.starts_with("\\\"")) {
    if (arg.count || (typed && type != "string")) return fail(EINVAL);  // without a word in the log
    type = "string";
  }
  arg.type = find_type(type);
  if (!arg.type) return refuse(type_offset, kBadType);
  if (used + arg.size() > kMaxRecord) return refuse(offset, kEventTooBig, E2BIG);
  TRY(source(fetch, offset, arg));
  return store(type, offset, type_offset, arg);
}

}  // namespace

Result<FetchArg> parse_fetch_arg(const ProbeCommand& command, size_t word, const FetchPlace& place,
                                 const std::vector<FetchArg>& before) {
  std::string_view text = command[word];
  FetchArg arg;
  size_t equals = text.find('='), offset = 0;
  if (equals != text.npos) {
    if (equals > kMaxName) return command.refuse(word, 0, kArgNameTooLong);
    if (equals == 0) return command.refuse(word, 0, kNoArgName);
    arg.name = text.substr(0, equals);
    offset = equals + 1;
  } else {
    arg.name = "arg" + std::to_string(before.size() + 1);
  }
  if (!is_good_name(arg.name)) return command.refuse(word, 0, kBadArgName);
  if (std::ranges::count(kReserved, arg.name) || std::ranges::count(before, arg.name, &FetchArg::name)) {
    return command.refuse(word, 0, kUsedArgName);
  }
  arg.text = text.substr(offset);
  u32 used = 0;
  for (const FetchArg& each : before) used += each.size();
  TRY(Parser(command, word, place).body(arg.text, offset, used, arg));
  return arg;
}

u64 fetched_symbol(const std::string& symbol, const Symbols& symbols) {
  const size_t sign = std::min(symbol.find_first_of("+-"), symbol.size());
  const u64 address = symbols.address(symbol.substr(0, sign));
  const auto distance = sign < symbol.size() ? kstrtol(std::string_view(symbol).substr(sign)) : 0;
  return address && distance ? address + static_cast<u64>(*distance) : 0;
}

namespace {

std::string element_text(const FetchArg& arg, std::span<const u8> record, u32 at, const SymbolText& symbol_text) {
  const FetchType& type = *arg.type;
  if (at + type.size > record.size()) return "(fault)";
  if (type.is_string) {
    const u32 location = load<u32>(record.data() + at), from = location & 0xffff;
    if (location >> 16 == 0 || from >= record.size()) return "(fault)";
    // It goes on to the next NUL: symstr has none of its own (kernel: fetch_store_symstring).
    const char* text = reinterpret_cast<const char*>(record.data() + from);
    return fmt::format("\"{}\"", std::string_view(text, strnlen(text, record.size() - from)));
  }
  u64 value = 0;
  memcpy(&value, record.data() + at, type.size);
  if (std::string_view(type.name) == "symbol") return symbol_text(value);
  if (type.name[0] == 'x') return fmt::format("0x{:x}", value);
  if (!type.is_signed) return fmt::format("{}", value);
  const u32 spare = 64 - 8 * type.size;
  return fmt::format("{}", static_cast<s64>(value << spare) >> spare);
}

}  // namespace

std::string fetched_text(const FetchArg& arg, std::span<const u8> record, u32 offset, const SymbolText& symbol_text) {
  if (!arg.count) return element_text(arg, record, offset, symbol_text);
  std::string out = "{";
  for (u32 n = 0; n < arg.count; ++n) {
    if (n) out += ',';
    out += element_text(arg, record, offset + n * arg.type->size, symbol_text);
  }
  return out + "}";
}

Result<void> resolve_symbols(const FetchArg& arg, const Symbols& symbols) {
  for (const std::string& symbol : arg.symbols) {
    size_t sign = symbol.find_first_of("+-");
    if (sign != symbol.npos) TRY(kstrtol(std::string_view(symbol).substr(sign)));
    if (!symbols.address(symbol.substr(0, sign))) return fail(ENOENT);
  }
  return {};
}

}  // namespace bpfemu

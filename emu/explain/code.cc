// SPDX-License-Identifier: Apache-2.0
#include "emu/explain/code.h"

#include <algorithm>
#include <iterator>

namespace bpfemu {

namespace {

constexpr CodeEntry kCodes[] = {
#define CODE(number, name, title, help) {Code::name, title, help},
#include "emu/explain/codes.inc"
#undef CODE
};

struct Meaning {
  std::string_view part;
  Code code;
};
constexpr Meaning kMeanings[] = {
#define MESSAGE(part, code) {part, Code::code},
#include "emu/explain/messages.inc"
#undef MESSAGE
};

std::optional<Code> meaning_of(const LogMessage& message) {
  for (const Meaning& meaning : kMeanings) {
    if (message.format.find(meaning.part) != std::string::npos) return meaning.code;
  }
  return std::nullopt;
}

// Loaders put a call of this helper in place of an access that they could not relocate.
constexpr s64 kPoison = 0xbad2310;

// What the message leaves open, the register tells.
Code refine(Code code, const Reg& reg) {
  bool asks_pointer = code == Code::kNotPointer || code == Code::kArgument;
  if (asks_pointer && reg.may_be_null()) return Code::kMaybeNull;
  if (code == Code::kNotPointer && base_type(reg.type) != kScalar) return Code::kArgument;
  return code;
}

// The register that a message or one after it names: some say first what is wrong and then with which.
std::optional<u32> register_of(const Rejection& rejection, const LogMessage* message) {
  for (; message <= &rejection.messages.back(); ++message) {
    auto reg = number_after(*message, "R");
    if (reg && *reg >= 0 && *reg < kRegs) return static_cast<u32>(*reg);
  }
  return std::nullopt;
}

}  // namespace

std::span<const CodeEntry> code_entries() {
  return kCodes;
}

const CodeEntry& entry_of(Code code) {
  return *std::find_if(std::begin(kCodes), std::end(kCodes), [code](const CodeEntry& e) { return e.code == code; });
}

std::optional<s64> number_after(const LogMessage& message, std::string_view before) {
  std::string_view format = message.format;
  size_t index = 0;
  for (size_t at = format.find('{'); at != std::string_view::npos; at = format.find('{', at + 1), ++index) {
    if (!format.substr(0, at).ends_with(before) || index >= message.arguments.size()) continue;
    if (const s64* number = std::get_if<s64>(&message.arguments[index])) return *number;
  }
  return std::nullopt;
}

Cause cause_of(const Rejection& rejection) {
  Cause cause;
  if (rejection.exploring) cause.insn = rejection.insn;
  for (const LogMessage& message : rejection.messages) {
    std::optional<Code> code = meaning_of(message);
    if (!code) continue;
    cause.code = *code;
    cause.message = &message;
    break;
  }
  if (!cause.message) {
    if (!rejection.messages.empty()) cause.message = &rejection.messages.back();
    return cause;
  }
  if (cause.code == Code::kHelper && number_after(*cause.message, "#") == kPoison) cause.code = Code::kRelocation;
  cause.reg = register_of(rejection, cause.message);
  if (cause.reg && rejection.exploring) cause.code = refine(cause.code, rejection.regs[*cause.reg]);
  if (rejection.exploring) return cause;
  auto insn = number_after(*cause.message, "insn ");
  if (insn && *insn >= 0 && *insn < static_cast<s64>(rejection.insns.size())) cause.insn = static_cast<u32>(*insn);
  return cause;
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "emu/explain/code.h"

#include <algorithm>
#include <cerrno>
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
  const char* help;  // null: the code's
};
constexpr Meaning kMeanings[] = {
#define MESSAGE(part, code) {part, Code::code, nullptr},
#define MESSAGE_HELP(part, code, help) {part, Code::code, help},
#include "emu/explain/messages.inc"
#undef MESSAGE
#undef MESSAGE_HELP
};

const Meaning* meaning_of(const LogMessage& message) {
  for (const Meaning& meaning : kMeanings) {
    if (message.format.find(meaning.part) != std::string::npos) return &meaning;
  }
  return nullptr;
}

// Loaders put calls of helpers that never were in place of what they could not resolve.
struct Poison {
  s64 first, last;
  Code code;
};
constexpr Poison kPoisons[] = {
    {0xbad2310, 0xbad2310, Code::kRelocation},  // libbpf and cilium/ebpf: an access
    {0xdedc0de, 0xdedc0de, Code::kLeftOut},     // cilium/ebpf: a kernel function
    {2001000000, 2001999999, Code::kLeftOut},   // libbpf: a map that is not created
    {2002000000, 2002999999, Code::kLeftOut},   // libbpf: a kernel function
};

// What the message leaves open, the register tells.
Code refine(Code code, const Reg& reg, bool is_call) {
  bool asks_pointer = code == Code::kNotPointer || code == Code::kArgument;
  if (asks_pointer && reg.may_be_null()) return Code::kMaybeNull;
  if (code == Code::kNotPointer && base_type(reg.type) != kScalar) return is_call ? Code::kArgument : Code::kOpaque;
  return code;
}

// What a call's number or an access's size tells.
Code refine(Code code, const LogMessage& message) {
  if (code == Code::kHelper) {
    const s64 helper = number_after(message, "#").value_or(0);
    for (const Poison& poison : kPoisons)
      if (helper >= poison.first && helper <= poison.last) return poison.code;
  }
  const bool bounds = code == Code::kOutOfBounds || code == Code::kPacketBounds || code == Code::kStackBounds;
  return bounds && number_after(message, " size=") == 0 ? Code::kZeroSize : code;
}

// Whose arguments they are: the same rules hold for the kernel's functions and the program's global ones.
Code refine(Code code, const Insn& insn) {
  const bool of_arguments = code == Code::kArgument || code == Code::kKfunc || code == Code::kFunctionArgs;
  if (!of_arguments || insn.code != (BPF_JMP | BPF_CALL)) return code;
  if (insn.src_reg == BPF_PSEUDO_KFUNC_CALL) return Code::kKfunc;
  return insn.src_reg == BPF_PSEUDO_CALL ? Code::kFunctionArgs : code;
}

// What a load or store goes through. The field has room for registers that there are not.
std::optional<u32> register_of(const Insn& insn) {
  const u32 reg = BPF_CLASS(insn.code) == BPF_LDX ? insn.src_reg : insn.dst_reg;
  switch (BPF_CLASS(insn.code)) {
    case BPF_LDX:
    case BPF_ST:
    case BPF_STX: return reg < kRegs ? std::optional(reg) : std::nullopt;
    default: return std::nullopt;
  }
}

// The register of the argument that is at fault, numbered from 0.
std::optional<u32> argument_of(const LogMessage& message) {
  auto argument = number_after(message, "arg#");
  return argument && *argument >= 0 && *argument < 5 ? std::optional(BPF_REG_1 + static_cast<u32>(*argument))
                                                     : std::nullopt;
}

// The register that a message or one after it names: some say first what is wrong and then with which.
std::optional<u32> register_of(const Rejection& rejection, const LogMessage* message) {
  for (; message <= &rejection.messages.back(); ++message) {
    auto reg = number_after(*message, "R");
    if (reg && *reg >= 0 && *reg < kRegs) return static_cast<u32>(*reg);
  }
  return std::nullopt;
}

// A target that was found and may not be attached to: of this the verifier says nothing.
bool is_forbidden_target(const Rejection& rejection) {
  return rejection.messages.empty() && !rejection.exploring && rejection.error == EINVAL &&
         !rejection.info.attach_func_name.empty();
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
    const Meaning* meaning = meaning_of(message);
    if (!meaning) continue;
    cause.code = refine(meaning->code, message);
    cause.message = &message;
    if (cause.code == meaning->code) cause.help = meaning->help;
    break;
  }
  if (!cause.message) {
    if (!rejection.messages.empty()) cause.message = &rejection.messages.back();
    if (is_forbidden_target(rejection)) cause.code = Code::kAttachTarget;
    return cause;
  }
  cause.reg = register_of(rejection, cause.message);
  if (rejection.exploring && rejection.insn < rejection.insns.size()) {
    const Insn& insn = rejection.insns[rejection.insn];
    if (!cause.reg) cause.reg = register_of(insn);
    if (!cause.reg && insn.code == (BPF_JMP | BPF_CALL)) cause.reg = argument_of(*cause.message);
    const Code before = cause.code;
    if (cause.reg) cause.code = refine(before, rejection.regs[*cause.reg], insn.code == (BPF_JMP | BPF_CALL));
    cause.code = refine(cause.code, insn);
    if (cause.code != before) cause.help = nullptr;
  }
  if (rejection.exploring) return cause;
  auto insn = number_after(*cause.message, "insn ");
  if (insn && *insn >= 0 && *insn < static_cast<s64>(rejection.insns.size())) cause.insn = static_cast<u32>(*insn);
  return cause;
}

}  // namespace bpfemu

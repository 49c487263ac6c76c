// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "emu/explain/explainer.h"

namespace bpfemu {

namespace {

std::string noun(const Reg& reg) {
  switch (base_type(reg.type)) {
    case kPtrToCtx: return "the context";
    case kConstPtrToMap: return "a map";
    case kPtrToMapValue: return "a pointer to a map value";
    case kPtrToMapKey: return "a pointer to a map key";
    case kPtrToStack: return "a pointer to the stack";
    case kPtrToPacketMeta: return "a pointer to packet metadata";
    case kPtrToPacket: return "a pointer to the packet";
    case kPtrToPacketEnd: return "the end of the packet";
    case kPtrToFlowKeys: return "a pointer to flow keys";
    case kPtrToSocket:
    case kPtrToSockCommon:
    case kPtrToTcpSock:
    case kPtrToXdpSock: return "a pointer to a socket";
    case kPtrToTpBuffer: return "a pointer to the tracepoint's buffer";
    case kPtrToBtfId:
      return fmt::format("a pointer to struct {}", reg.btf() ? reg.btf()->type_name(reg.btf_id()) : "?");
    case kPtrToFunc: return "the address of a function";
    case kPtrToDynptr: return "a dynptr";
    default: return "a pointer to memory";
  }
}

// What was added to a pointer.
std::string offset_text(const Reg& reg) {
  if (reg.var_off.is_const()) return fmt::format("{}", reg.off + static_cast<s64>(reg.var_off.value));
  return reg.off ? fmt::format("{} and {}", reg.off, range_text(reg.r64)) : range_text(reg.r64);
}

}  // namespace

std::string describe(const Reg& reg) {
  if (reg.type == kNotInit) return "not written yet";
  if (reg.is_const()) return fmt::format("the number {}", static_cast<s64>(reg.var_off.value));
  if (reg.is_scalar()) return reg.r64 == Range64{} ? "any number" : fmt::format("a number, {}", range_text(reg.r64));
  std::string text = noun(reg);
  if (base_type(reg.type) == kPtrToCtx && (reg.off || !reg.var_off.is_const() || reg.var_off.value))
    text += fmt::format(" plus {}", offset_text(reg));
  if (reg.type & kUser) text += " of user space";
  if (reg.type & kPercpu) text += " of a per-CPU variable";
  if (reg.type & kRdonly) text += " that must not be written";
  if (reg.type & kUntrusted) text += " that is not trusted";
  if (reg.may_be_null()) text += " that may be NULL";
  return text;
}

Report explain(const Rejection& rejection) {
  return Explainer(rejection).run();
}

Report Explainer::run() {
  report_.program = program_name(rejection_);
  report_.verifier = verifier_words();
  explain_kind();
  report_.code = cause_.code;
  if (report_.help.empty()) report_.help = cause_.help ? cause_.help : entry_of(cause_.code).help;
  return std::move(report_);
}

void Explainer::explain_kind() {
  switch (cause_.code) {
    case Code::kMaybeNull: return explain_null();
    case Code::kOutOfBounds:
    case Code::kUnbounded:
    case Code::kSize: return explain_bounds();
    case Code::kStackBounds: return explain_stack_bounds();
    case Code::kZeroSize: return explain_zero_size();
    case Code::kUninitialised: return explain_uninitialised();
    case Code::kUninitStack: return explain_uninit_stack();
    case Code::kPacketBounds: return explain_packet();
    case Code::kReturnValue: return explain_return();
    case Code::kContext: return explain_context();
    case Code::kUnreleased: return explain_unreleased();
    case Code::kHelper:
    case Code::kGplOnly:
    case Code::kMightSleep: return explain_helper();
    case Code::kRelocation: return refused("this kernel has no such field, type or value");
    case Code::kLeftOut: return refused("the loader found none, or was told not to create it");
    case Code::kPointerArithmetic: return explain_arithmetic();
    case Code::kKernelField: return explain_kernel_field();
    case Code::kLock: return explain_lock();
    case Code::kMapUse: return explain_map_use();
    case Code::kAttachTarget: return explain_target();
    case Code::kOther: return explain_other();
    case Code::kEndlessLoop: return explain_endless();
    case Code::kTooComplex: return explain_complex();
    default: return explain_register();
  }
}

// All that is known without knowing more of the kind: what the register is and where it comes from.
void Explainer::explain_register() {
  if (!subject()) return refused("refused here");
  const auto events = label_origin(*cause_.reg, fmt::format("R{}", *cause_.reg));
  bool wants_pointer = cause_.code == Code::kNotPointer || cause_.code == Code::kArgument;
  if (wants_pointer && subject()->is_null()) return refused(fmt::format("R{} is NULL here", *cause_.reg));
  if (subject()->is_scalar() && !events.empty() && is_pointer(events.back().after.type)) {
    explain_stale(events.back().after.type);
  }
  refused(fmt::format("R{} is {}", *cause_.reg, describe(*subject())));
}

// A pointer that has become a number.
void Explainer::explain_stale(RegType was) {
  const RegType type = base_type(was);
  if (type == kPtrToPacket || type == kPtrToPacketMeta || type == kPtrToPacketEnd) {
    note("it was a pointer, until a call that may change the packet");
    report_.help = "after such a call read data and data_end from the context again, and compare them again";
  } else {
    note("it was a pointer, until what it belongs to was released");
    report_.help = "use the pointer before it is released, not after";
  }
}

// From the message that counts to the last: some are said in parts.
std::string Explainer::verifier_words() const {
  std::string words;
  if (!cause_.message) return words;
  for (const LogMessage* m = cause_.message; m <= &rejection_.messages.back(); ++m) words += m->text;
  while (!words.empty() && words.back() == '\n') words.pop_back();
  for (size_t at = words.find('\n'); at != std::string::npos; at = words.find('\n', at)) words.replace(at, 1, "; ");
  return words;
}

std::vector<TraceEvent> Explainer::label_origin(u32 reg, std::string_view name) {
  auto events = trace(rejection_, reg, Follow::kValue);
  if (!events.empty() && events.back().kind == TraceEvent::Kind::kOrigin)
    label(events.back().insn, fmt::format("{} comes from here: {}", name, events.back().what));
  return events;
}

void Explainer::label(u32 insn, std::string text) {
  Label next{source_line(rejection_, insn), std::move(text)};
  auto same = [&](const Label& l) {
    return l.at.line == next.at.line && l.at.file == next.at.file && l.text == next.text;
  };
  if (std::none_of(report_.labels.begin(), report_.labels.end(), same)) report_.labels.push_back(std::move(next));
}

void Explainer::refused(std::string text) {
  if (!cause_.insn) return;
  report_.labels.push_back({source_line(rejection_, *cause_.insn), std::move(text)});
  report_.function = function_name(rejection_, *cause_.insn);
}

std::string Explainer::refused_call() const {
  if (!cause_.insn) return {};
  const Insn& insn = rejection_.insns[*cause_.insn];
  return insn.code == (BPF_JMP | BPF_CALL) ? call_text(rejection_, *cause_.insn) : std::string();
}

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// What a rejection is about.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "emu/verifier/rejection.h"

namespace bpfemu {

enum class Code : u32 {
#define CODE(number, name, title, help) name = number,
#include "emu/explain/codes.inc"
#undef CODE
};

struct CodeEntry {
  Code code;
  const char* title;
  const char* help;
};
std::span<const CodeEntry> code_entries();
const CodeEntry& entry_of(Code code);

// The verifier's message that counts, and what it means.
struct Cause {
  Code code = Code::kOther;
  const LogMessage* message = nullptr;  // null: it said nothing
  std::optional<u32> reg;               // the register that it is about
  const char* help = nullptr;           // null: the code's
  std::optional<u32> insn;              // the instruction, where one is at fault
};
Cause cause_of(const Rejection& rejection);

// The integer that a message puts after the n-th `{}` that follows `before`: 3 for "R" in "R3 !read_ok".
std::optional<s64> number_after(const LogMessage& message, std::string_view before);

}  // namespace bpfemu

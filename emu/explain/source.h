// SPDX-License-Identifier: Apache-2.0
// Where an instruction comes from: the line of source that BTF's line_info tells, or the instruction's own text.
#pragma once

#include <string>

#include "emu/verifier/rejection.h"

namespace bpfemu {

struct SourceLine {
  std::string file;  // "": no source is known, `line` is the instruction's number
  u32 line = 0;
  u32 column = 0;  // from 1, 0: unknown, and `text` is the instruction's own
  std::string text;
};

SourceLine source_line(const Rejection& rejection, u32 insn);
// The function that an instruction is in, by its BTF; "" when there is none.
std::string function_name(const Rejection& rejection, u32 insn);
// The name that the program has in its source.
std::string program_name(const Rejection& rejection);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// What `bpfemu verify` prints: veristat's columns, for people or as CSV.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu {

struct VerifyRow {
  std::string file, program;
  bool accepted = false;
  // From the end of the verifier's log, 0 where it did not get so far.
  u64 microseconds = 0, insns = 0, states = 0, peak_states = 0, max_states_per_insn = 0, mark_read = 0;
};

VerifyRow row_of(std::string file, std::string program, bool accepted, std::string_view log);
std::string table_text(const std::vector<VerifyRow>& rows);
std::string csv_text(const std::vector<VerifyRow>& rows);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "cli/verify_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace bpfemu {

namespace {

constexpr size_t kColumns = 7;
constexpr std::array<const char*, kColumns> kHeads = {"File",  "Program", "Verdict",    "Duration (us)",
                                                      "Insns", "States",  "Peak states"};
constexpr size_t kFirstNumber = 3;  // columns from here on are numbers

// The number that follows the last `word` of the log.
u64 number_after(std::string_view log, std::string_view word) {
  const size_t at = log.rfind(word);
  return at == std::string_view::npos
             ? 0
             : std::strtoull(std::string(log.substr(at + word.size(), 20)).c_str(), nullptr, 10);
}

using Cells = std::array<std::string, kColumns>;

Cells cells_of(const VerifyRow& row) {
  return {row.file,
          row.program,
          row.accepted ? "success" : "failure",
          std::to_string(row.microseconds),
          std::to_string(row.insns),
          std::to_string(row.states),
          std::to_string(row.peak_states)};
}

std::string line_of(const Cells& cells, const std::array<size_t, kColumns>& widths) {
  std::string line;
  for (size_t i = 0; i < kColumns; ++i) {
    if (i) line += "  ";
    line += i < kFirstNumber ? fmt::format("{:<{}}", cells[i], widths[i]) : fmt::format("{:>{}}", cells[i], widths[i]);
  }
  return line + '\n';
}

}  // namespace

VerifyRow row_of(std::string file, std::string program, bool accepted, std::string_view log) {
  return {std::move(file),
          std::move(program),
          accepted,
          number_after(log, "verification time "),
          number_after(log, "processed "),
          number_after(log, "total_states "),
          number_after(log, "peak_states "),
          number_after(log, "max_states_per_insn "),
          number_after(log, "mark_read ")};
}

std::string table_text(const std::vector<VerifyRow>& rows) {
  std::vector<Cells> lines;
  Cells heads, rules;
  std::copy(kHeads.begin(), kHeads.end(), heads.begin());
  lines.push_back(heads);
  lines.push_back(rules);
  for (const VerifyRow& row : rows) lines.push_back(cells_of(row));
  std::array<size_t, kColumns> widths{};
  for (const Cells& cells : lines) {
    for (size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  for (size_t i = 0; i < kColumns; ++i) lines[1][i] = std::string(widths[i], '-');
  std::string text;
  for (const Cells& cells : lines) text += line_of(cells, widths);
  const auto accepted = std::count_if(rows.begin(), rows.end(), [](const VerifyRow& row) { return row.accepted; });
  return text + fmt::format("{} program{}: {} accepted, {} refused\n", rows.size(), rows.size() == 1 ? "" : "s",
                            accepted, static_cast<long>(rows.size()) - accepted);
}

// The column names are veristat's, so that its --compare reads it.
std::string csv_text(const std::vector<VerifyRow>& rows) {
  std::string text =
      "file_name,prog_name,verdict,duration,total_insns,total_states,peak_states,max_states_per_insn,"
      "max_mark_read_len\n";
  for (const VerifyRow& row : rows) {
    text +=
        fmt::format("{},{},{},{},{},{},{},{},{}\n", row.file, row.program, row.accepted ? "success" : "failure",
                    row.microseconds, row.insns, row.states, row.peak_states, row.max_states_per_insn, row.mark_read);
  }
  return text;
}

}  // namespace bpfemu

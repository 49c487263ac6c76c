// SPDX-License-Identifier: Apache-2.0
#include "emu/explain/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace bpfemu {

namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

// Marks the word at a column: as wide as it, tabs before it kept so that it stands below.
std::string marked(const SourceLine& at, char mark) {
  size_t begin = at.column ? std::min<size_t>(at.column - 1, at.text.size()) : at.text.find_first_not_of(" \t");
  if (begin == std::string::npos) begin = 0;
  std::string row;
  for (char c : at.text.substr(0, begin)) row += c == '\t' ? '\t' : ' ';
  size_t end = begin;
  while (end < at.text.size() && is_word(at.text[end])) ++end;
  if (!at.column) end = at.text.size();  // an instruction: all of it
  return row + std::string(std::max<size_t>(end - begin, 1), mark);
}

size_t digits(u32 number) {
  return fmt::formatted_size("{}", number);
}

class Text {
 public:
  explicit Text(const Report& report) : report_(report) {
    for (const Label& label : report.labels) width_ = std::max(width_, digits(label.at.line));
  }

  std::string write() {
    out_ = fmt::format("error[BV{:03}]: {} (program {})\n", static_cast<u32>(report_.code),
                       entry_of(report_.code).title, report_.program);
    if (!report_.labels.empty()) write_source();
    for (const std::string& note : report_.notes) write_fact("note", note);
    if (!report_.verifier.empty()) write_fact("verifier", report_.verifier);
    if (!report_.help.empty()) write_fact("help", report_.help);
    return std::move(out_);
  }

 private:
  void write_place(std::string_view arrow, const SourceLine& at, std::string_view function) {
    out_ += fmt::format("{:>{}}{} ", "", width_, arrow);
    if (at.file.empty()) {
      out_ += fmt::format("instruction {}", at.line);
    } else {
      out_ += fmt::format("{}:{}", at.file, at.line);
      if (at.column) out_ += fmt::format(":{}", at.column);
    }
    if (!function.empty()) out_ += fmt::format(", in {}()", function);
    out_ += '\n';
  }

  void write_source() {
    const Label& refused = report_.labels.back();
    write_place("-->", refused.at, report_.function == report_.program ? "" : report_.function);
    out_ += fmt::format("{:>{}} |\n", "", width_);
    const SourceLine* shown = nullptr;
    std::string file = refused.at.file;
    for (const Label& label : report_.labels) {
      if (label.at.file != file) {
        write_place(":::", label.at, "");
        file = label.at.file;
        shown = nullptr;
      }
      if (!shown || shown->line != label.at.line) {
        out_ += fmt::format("{:>{}} | {}\n", label.at.line, width_, label.at.text);
      }
      shown = &label.at;
      out_ += fmt::format("{:>{}} | {} {}\n", "", width_, marked(label.at, &label == &refused ? '^' : '-'), label.text);
    }
  }

  void write_fact(std::string_view kind, std::string_view text) {
    out_ += fmt::format("{:>{}} = {}: {}\n", "", width_, kind, text);
  }

  const Report& report_;
  size_t width_ = 1;
  std::string out_;
};

}  // namespace

std::string to_text(const Report& report) {
  return Text(report).write();
}

}  // namespace bpfemu

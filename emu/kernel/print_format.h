// SPDX-License-Identifier: Apache-2.0
// The `print fmt` of an event: a printf format and C expressions over the record's fields, by which the kernel makes a
// line of the trace (kernel: TP_printk, Documentation/trace/events.rst).
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/kernel/events.h"

namespace bpfemu {

class PrintFormat {
 public:
  // A kernel address as %pS, or without its offset as %ps.
  using SymbolText = std::function<std::string(u64 address, bool offset)>;

  // `format`: of the event's format file; it must outlive this.
  PrintFormat(std::string_view format, SymbolText symbol_text);
  // False: something in it is not understood. What was is in `out`.
  bool print(std::span<const u8> record, std::string& out) const;

 private:
  std::vector<EventField> fields_;
  std::string_view text_;                    // with its escapes
  std::vector<std::string_view> arguments_;  // the expressions
  SymbolText symbol_text_;
};

// The text that a __data_loc at `offset` of the record leads to.
std::string_view located_text(std::span<const u8> record, u32 offset);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// tracefs' error_log: the last commands that it refused, and why (kernel: tracing_log_err).
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "emu/base/types.h"

namespace bpfemu {

class ErrorLog {
 public:
  // `source`: "trace_kprobe". `caret`: which column of `command` the error is at.
  void add(std::string_view source, std::string_view command, std::string_view error, size_t caret);
  std::string listing() const;
  void clear() { entries_.clear(); }

 private:
  std::deque<std::string> entries_;
};

}  // namespace bpfemu

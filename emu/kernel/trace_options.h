// SPDX-License-Identifier: Apache-2.0
// tracefs' trace_options and options/NAME: how the trace is shown (Documentation/trace/ftrace.rst).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emu/base/log.h"
#include "emu/base/result.h"

namespace bpfemu {

class TraceOptions {
 public:
  // `text`: of the claimed kernel's trace_options, as it starts: lines "NAME" and "noNAME".
  TraceOptions(std::string_view text, Unmodelled& unmodelled);

  bool on(std::string_view name) const;
  bool knows(std::string_view name) const;
  // EINVAL: no such option, or what it does is not modelled.
  Result<void> set(std::string_view name, bool on);
  // "NAME" or "noNAME", with blanks around (kernel: trace_set_options).
  Result<void> write(std::string_view text);
  std::string listing() const;

 private:
  struct Option {
    std::string name;
    bool on;
  };
  std::vector<Option> options_;
  Unmodelled& unmodelled_;
};

}  // namespace bpfemu

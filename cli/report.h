// SPDX-License-Identifier: Apache-2.0
// How a run ends: bpfemu's own lines, and its exit status.
#pragma once

#include "cli/options.h"

namespace bpfemu {

struct Ending {
  std::string text;  // for stderr
  int status = 0;
  int signal = 0;  // not 0: the command died of it, and bpfemu is to do the same
};

Ending ending_of(const RunReport& report, const Invocation& run);

}  // namespace bpfemu

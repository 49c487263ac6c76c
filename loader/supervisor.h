// SPDX-License-Identifier: Apache-2.0
// The composition: loader and kernel model make one bpfemu run.
#pragma once

#include <string>
#include <vector>

#include "emu/syscalls/system.h"
#include "loader/session.h"

namespace bpfemu {

struct RunReport {
  Outcome outcome;
  std::vector<std::string> unmodelled;  // what the tools asked for and the model lacks (Unmodelled::lines)
  TraceCounts traced = {};
  u64 answered = 0;  // calls that never reached the host's kernel
  DecidedCalls decided = {};
};

RunReport supervise(const Options& options, const Command& command);

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// The composition: loader and kernel model make one bpfemu run.
#pragma once

#include <map>
#include <string>

#include "emu/syscalls/system.h"
#include "loader/session.h"

namespace bpfemu {

struct RunReport {
  Outcome outcome;
  std::map<std::string, u64> unmodelled;  // what the tools asked for and the model lacks, with how often
  TraceCounts traced = {};
  u64 answered = 0;  // calls that never reached the host's kernel
};

RunReport supervise(const Options& options, const Command& command);

}  // namespace bpfemu

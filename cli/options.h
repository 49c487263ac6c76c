// SPDX-License-Identifier: Apache-2.0
// bpfemu's command line.
#pragma once

#include <optional>
#include <string>

#include "cli/load_objects.h"
#include "loader/supervisor.h"

namespace bpfemu {

inline constexpr int kBadVerify = 2, kFailed = 125, kTimedOut = 124, kNotExecutable = 126, kNotFound = 127,
                     kStrict = 120;

struct Invocation {
  Options options;
  Command command;
  bool strict = false;
  bool stats = false;
};

// What the arguments ask for. Nothing: `text` is all there is to say, `status` how to exit; 0 for --help, --version.
struct Parsed {
  std::optional<Invocation> invocation;
  std::string text;
  int status = 0;
};

Parsed parse_arguments(int argc, const char* const* argv);
// The arguments after `bpfemu verify`. The command that it makes is bpfemu itself, as the process that loads.
Parsed parse_verify(int argc, const char* const* argv);

}  // namespace bpfemu

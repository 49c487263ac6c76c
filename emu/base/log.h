// SPDX-License-Identifier: Apache-2.0
// bpfemu's own lines to its user, apart from the tool's output: UNMODELED notes and --trace.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "emu/base/types.h"

namespace bpfemu {

// Collects what a tool asked for that the claimed kernel has and the model lacks; printed once at exit
// (`bpfemu: not modelled: WHAT (N times)`), and with --strict the reason for exit status 120.
class Unmodelled {
 public:
  void note(std::string_view what) { ++counts_[std::string(what)]; }
  const std::map<std::string, u64>& counts() const { return counts_; }

 private:
  std::map<std::string, u64> counts_;
};

}  // namespace bpfemu

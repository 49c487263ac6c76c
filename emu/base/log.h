// SPDX-License-Identifier: Apache-2.0
// bpfemu's own lines to its user, apart from the tool's output: UNMODELED notes and --trace.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/types.h"

namespace bpfemu {

// Collects what a tool asked for that the claimed kernel has and the model lacks; printed once at exit
// (`bpfemu: not modelled: WHAT (N times)`), and with --strict the reason for exit status 120.
class Unmodelled {
 public:
  void note(std::string_view what) {
    std::string key(what);
    if (counts_.size() < kMost || counts_.contains(key)) ++counts_[std::move(key)];
  }
  // One of a kind that there may be hundreds of: "kprobe", "vfs_read". More than kNamed are one line.
  void note(std::string_view kind, std::string_view name) {
    std::set<std::string>& names = kinds_[std::string(kind)];
    if (names.size() < kMost) names.emplace(name);
    note(one_of(kind, name));
  }
  const std::map<std::string, u64>& counts() const { return counts_; }

  // "kprobe vfs_read (2 times)"; "1362 kprobes: a, b, c and 1359 more".
  std::vector<std::string> lines() const {
    std::map<std::string, u64> single = counts_;
    std::vector<std::string> lines;
    for (const auto& [kind, names] : kinds_) {
      if (names.size() <= kNamed) continue;
      for (const std::string& name : names) single.erase(one_of(kind, name));
      lines.push_back(summed_up(kind, names));
    }
    for (const auto& [what, count] : single)
      lines.push_back(count == 1 ? what : what + " (" + std::to_string(count) + " times)");
    return lines;
  }

 private:
  static constexpr size_t kNamed = 3;
  static constexpr size_t kMost = size_t{1} << 17;  // more things than a kernel has

  static std::string one_of(std::string_view kind, std::string_view name) {
    return std::string(kind) + ' ' + std::string(name);
  }
  static std::string summed_up(const std::string& kind, const std::set<std::string>& names) {
    std::string line = std::to_string(names.size()) + ' ' + kind + 's';
    auto name = names.begin();
    for (size_t i = 0; i < kNamed; ++i) line += (i == 0 ? ": " : ", ") + *name++;
    return line + " and " + std::to_string(names.size() - kNamed) + " more";
  }

  std::map<std::string, u64> counts_;
  std::map<std::string, std::set<std::string>> kinds_;
};

}  // namespace bpfemu

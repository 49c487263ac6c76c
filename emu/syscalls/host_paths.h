// SPDX-License-Identifier: Apache-2.0
// Paths that were found to be the host's alone. What a path leads to changes by links, renames and mounts: those of
// supervised processes are told by forget(), and what others do is noticed within kKept.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <unordered_set>

namespace bpfemu {

class HostPaths {
 public:
  bool known(const std::string& path, bool follow) {
    if (Clock::now() - since_ > kKept) expire();
    return paths_[follow].contains(path);
  }
  void learn(const std::string& path, bool follow) {
    if (Clock::now() < settled_ || paths_[follow].size() >= kMost) return;
    paths_[follow].insert(path);
  }
  // Something is about to change what paths lead to, a moment from now.
  void forget() {
    paths_[0].clear(), paths_[1].clear();
    settled_ = Clock::now() + kChanging;
    forgotten();
  }
  // What others may have changed.
  void expire() { paths_[0].clear(), paths_[1].clear(), since_ = Clock::now(); }
  // For whoever relies on what was known.
  std::function<void()> forgotten = [] {};

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kKept{500}, kChanging{100};
  static constexpr size_t kMost = 4096;

  std::unordered_set<std::string> paths_[2];  // by whether a last link is followed
  Clock::time_point since_{}, settled_{};
};

}  // namespace bpfemu

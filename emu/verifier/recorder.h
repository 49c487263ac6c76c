// SPDX-License-Identifier: Apache-2.0
// Takes notes of the path being followed, while a rejection is being explained.
#pragma once

#include <vector>

#include "emu/verifier/rejection.h"

namespace bpfemu {

class Recorder {
 public:
  std::vector<LogMessage> messages;  // since the last instruction began

  // A place on the path, to come back to when the path is given up for another that branches off there.
  size_t position() const { return dropped_ + steps_.size(); }
  void rewind(size_t position) {
    if (position < dropped_) dropped_ = position;  // what was before is forgotten already
    steps_.resize(position - dropped_);
  }

  void add(const Step& step) {
    // A path can be a million instructions long; what matters is near its end.
    constexpr size_t kKept = size_t{1} << 16;
    if (steps_.size() == 2 * kKept) {
      steps_.erase(steps_.begin(), steps_.begin() + kKept);
      dropped_ += kKept;
    }
    steps_.push_back(step);
  }
  Step* last() { return steps_.empty() ? nullptr : &steps_.back(); }
  bool cut() const { return dropped_ != 0; }
  std::vector<Step> take_steps() { return std::move(steps_); }

 private:
  std::vector<Step> steps_;
  size_t dropped_ = 0;
};

}  // namespace bpfemu

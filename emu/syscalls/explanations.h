// SPDX-License-Identifier: Apache-2.0
// Which refused programs are explained to bpfemu's user, and when.
//
// Tools ask what a kernel can do by loading programs that may well be refused, by the hundred; such a refusal is an
// answer, not a mistake. So by default a report waits until its process ends, and is shown when the process then turns
// out to have failed: it ended with an error or by a signal, or without any program loaded. Not shown are programs that
// the process loaded in the end under the same name, and those that nobody compiled: short, and without lines of source.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "emu/verifier/verifier.h"

namespace bpfemu {

enum class ExplainMode { kAuto, kAlways, kNever };

class Explanations {
 public:
  explicit Explanations(ExplainMode mode) : mode_(mode) {}

  // Where the reports go. Until then nowhere.
  void on_text(std::function<void(const std::string&)> show) { show_ = std::move(show); }

  void refused(pid_t process, const VerifierWorld& world, const LoadRequest& request);
  void loaded(pid_t process, const LoadRequest& request);
  void process_ended(pid_t process, bool failed);
  // No process is left: what was held back counts as failed.
  void finish();

 private:
  struct Held {
    std::string name, text;
  };
  struct Process {
    bool loaded_any = false;
    std::vector<Held> held;
    size_t dropped = 0;  // for want of room
  };

  void show_held(const Process& process);
  void show(const std::string& text);

  ExplainMode mode_;
  std::function<void(const std::string&)> show_ = [](const std::string&) {};
  std::map<pid_t, Process> processes_;
  std::set<std::string> shown_;
  size_t left_out_ = 0;
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// One command under the tracer: everything of the loader, put together. Who answers the calls comes from outside.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "loader/loader_host.h"

namespace bpfemu {

struct Command {
  std::vector<std::string> argv;
  u64 timeout_ns = 0;     // 0: none
  bool verbose = false;   // say on stderr how it is run
  u32 hot = Decider::kHot;  // after so many stops a process decides a call by itself (decider.h), 0: never
  bool wait_all = false;  // outlive the command until all that it started has ended
};

struct Outcome {
  enum class Kind { kEnded, kTimedOut, kOutOfCpu, kNotFound, kNotExecutable, kPtraceDenied, kNested, kFailed };
  Kind kind = Kind::kFailed;
  int value = 0;  // kEnded: wait status; kFailed, kPtraceDenied, kNotExecutable: errno
};

class Session {
 public:
  explicit Session(TrapHandler& traps);

  LoaderHost& host() { return host_; }
  const TraceCounts& trace_counts() const { return os_.counts(); }
  const DecidedCalls& decided_calls() { return tracer_.decider().counts(); }
  // Called once the command runs and the waker with it.
  void on_start(std::function<void(Waker&)> started) { started_ = std::move(started); }

  // `traced`: calls that the handler answers; `outer_denied`: those of them that container runtimes deny.
  Outcome run(const Command& command, const Root& root, const SyscallSet& traced, const SyscallSet& outer_denied,
              CallHandler& handler, std::function<void(std::string_view)> note);

 private:
  void pass_on(const signalfd_siginfo& info, pid_t first);
  void end_all(Outcome::Kind why) { cut_off_ = why, tracer_.stop(); }
  // Timers, signals to bpfemu and ends of memory accesses (by the eventfd) come into the loop from here on.
  Result<void> start_waker(pid_t first, int memory_ready);
  void watch_cpu_limit();

  Inherited inherited_;
  RealTraceOs os_;
  TaskEnv env_;
  TaskTable tasks_;
  Widening widening_;
  Waker waker_;
  Tracer tracer_;
  LoaderHost host_;
  std::function<void(Waker&)> started_ = [](Waker&) {};
  u64 look_timer_ = 0;
  std::optional<Outcome::Kind> cut_off_;  // why all was ended before the command did
};

}  // namespace bpfemu

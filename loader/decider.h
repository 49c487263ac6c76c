// SPDX-License-Identifier: Apache-2.0
// Which processes decide some of their calls with a path by themselves, and from when on.
#pragma once

#include <array>

#include "emu/syscalls/path_table.h"
#include "loader/task.h"

namespace bpfemu {

class CallHandler;
struct Call;

struct DecidedCalls {
  u64 patched = 0;               // sites
  std::array<u64, 5> refused{};  // by PatchResult
};

class Decider {
 public:
  explicit Decider(TaskEnv& env) : env_(env) {}
  // After so many stops a site is patched, if the process would have decided the last of them: 0 never.
  static constexpr u32 kHot = 16;
  u32 hot = kHot;

  // The call at which the thread stands was the kernel's alone.
  void was_native(TracedTask& task, long number, const std::array<u64, 6>& args, CallHandler& handler);
  // It was answered.
  void was_answered(TracedTask& task, Call& call, CallHandler& handler);
  // The thread's program is about to begin, and what is known of its text can be patched. `image`: of AuxVector.
  void begin(TracedTask& task, u64 image, CallHandler& handler);
  // The thread has forked. What its children do again and again before they execute a program is patched here.
  void forked(TracedTask& task, CallHandler& handler);
  // The process minds from where its calls are made: they are made where they always were.
  void leave_alone(TracedTask& task);
  // The thread took a fault of the decision's own: the call is asked about. False: it is the program's.
  bool takes_fault(TracedTask& task, int signal);
  const DecidedCalls& counts() const { return counts_; }

 private:
  bool grew_hot(TracedTask& task, const PathShape* shape);
  static bool is_told_alone(long number);
  void was_told(TracedTask& task, long number, CallHandler& handler);
  void patch(TracedTask& task, const PathTable& table, CallHandler& handler);

  TaskEnv& env_;
  DecidedCalls counts_;
};

}  // namespace bpfemu

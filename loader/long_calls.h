// SPDX-License-Identifier: Apache-2.0
// Calls that take long: each is answered on a stack of its own, in slices between the stops of others. Its thread
// stands still all the while; only its death, or the end of everything, cuts the call short.
#pragma once

#include <list>
#include <memory>

#include "loader/fiber.h"
#include "loader/task.h"

namespace bpfemu {

class LongCalls {
 public:
  // Begins to answer the call that `task` is in.
  void begin(TracedTask& task, std::function<void()> answer);
  bool empty() const { return calls_.empty(); }
  bool has(pid_t tid) const;
  // The next slice of one of them, in turn.
  void run_slice();

  // From within an answer: lets others go on. True: end with an error, a signal waits for the thread or it is gone.
  bool pause();

  // Ends at once what the thread, or any of the thread group, is in.
  void end_of_thread(pid_t tid);
  void end_of_group(pid_t tgid);
  void end_all();

 private:
  struct LongCall {
    TracedTask& task;
    std::unique_ptr<Fiber> fiber;
    bool cut_short = false;
    u64 looked_ns = 0;  // when we last looked for signals
  };

  void run(std::list<LongCall>::iterator call);
  void cut_short(std::list<LongCall>::iterator call);

  std::list<LongCall> calls_;
  std::unique_ptr<Fiber> spare_;  // of the last call that ended
  LongCall* current_ = nullptr;
};

}  // namespace bpfemu

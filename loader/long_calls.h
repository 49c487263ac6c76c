// SPDX-License-Identifier: Apache-2.0
// What takes long holds up nobody. Every stop of a thread, and every timer, is handled on a stack of its own: where the
// work shows that it goes on for more than a slice, it stands aside for the stops of others, and where it waits for
// somebody it sleeps. Its thread stands still all the while; its death, or the end of everything, cuts the work short.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "loader/fiber.h"
#include "loader/task.h"

namespace bpfemu {

class LongCalls {
 public:
  // Does `work`, or begins to. `task`: who stands still for it, null for nobody.
  void begin(TracedTask* task, std::function<void()> work);
  bool empty() const { return calls_.empty(); }
  // Is there anything that need not sleep?
  bool ready() const;
  // Is what runs now done for that thread?
  bool runs_for(const TracedTask& task) const { return current_ && current_->task == &task; }
  // The next slice of one of them, in turn.
  void run_slice();

  // From within the work, as often as it likes: lets others go on when its slice is over. True: end with an error, a
  // signal waits for the thread or it is gone.
  bool pause();
  // The same for what no signal ends, such as a program of `task`: true when the thread is gone. Only the thread that
  // stands still for the work is sure to be there afterwards: for another, nobody goes on.
  bool breathe(const Task* task);
  // Sleeps on behalf of `task` until done() says so, which is asked again at each wake(). True: the thread is gone, and it
  // was not done.
  bool sleep(const TracedTask& task, const std::function<bool()>& done);
  void wake();

  // The thread, or its thread group, is coming to its end by `stop`. True: nothing is being done for it any more; no:
  // something cannot end early, and `stop` is handed out again by ended() when it is done.
  bool end_of_thread(pid_t tid, const StopEvent& stop);
  bool end_of_group(pid_t tgid, const StopEvent& stop);
  std::vector<StopEvent> ended() { return std::exchange(stops_, {}); }
  // Everything is: what cannot end early stays where it is for ever.
  void end_all();

 private:
  struct LongCall {
    TracedTask* task;
    std::unique_ptr<Fiber> fiber;
    bool cut_short = false;
    bool asleep = false;
    u64 looked_ns = 0;              // when we last looked for signals
    std::vector<StopEvent> stops;  // of its thread or group, that wait for its end
  };
  using Place = std::list<LongCall>::iterator;

  void run(Place call);
  void cut_short(Place call, const StopEvent& stop);
  bool end_of(const std::function<bool(const TracedTask&)>& ends, const StopEvent& stop);
  bool stand_aside();
  bool signalled(LongCall& call);

  std::list<LongCall> calls_;
  std::vector<std::unique_ptr<Fiber>> spare_;
  std::vector<StopEvent> stops_;
  LongCall* current_ = nullptr;
  u64 slice_began_ns_ = 0;
};

}  // namespace bpfemu

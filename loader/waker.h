// SPDX-License-Identifier: Apache-2.0
// Brings what is not a wait status into the tracer's loop: timers, descriptors that became readable, signals to
// bpfemu itself. The tracer blocks in wait4, which no descriptor can end, so a second thread watches and interrupts it.
#pragma once

#include <pthread.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <map>

#include "emu/base/fd.h"
#include "emu/base/result.h"

namespace bpfemu {

class Waker {
 public:
  using Signalled = std::function<void(const signalfd_siginfo&)>;

  // What the second thread interrupts the first with.
  static int kick_signal();
  // Starts the second thread; the caller becomes the thread to be woken. `signals`, as a mask of bits signal - 1, are
  // blocked and given to `signalled`.
  Result<void> start(u64 signals, Signalled signalled);
  ~Waker();

  // `fire` runs in attend() when `fd` is readable; it must make it unreadable.
  Result<void> watch(int fd, std::function<void()> fire);
  u64 add_timer(u64 first_ns, u64 period_ns, std::function<void()> fire);  // period 0: once
  void cancel_timer(u64 id) { timers_.erase(id); }

  // Is there something to attend to? Free to ask at every turn of the loop.
  bool pending() const { return pending_.load(std::memory_order_acquire); }
  void attend();

 private:
  struct Timer {
    u64 next, period;
    std::function<void()> fire;
  };

  static void* run(void* self);
  void watch_loop();
  void set_alarm();
  void run_timers();
  void read_signals();

  UniqueFd epoll_, alarm_, signals_, stop_;
  Signalled signalled_;
  std::map<int, std::function<void()>> watched_;
  std::map<u64, Timer> timers_;
  u64 last_id_ = 0;
  u64 alarm_at_ = 0;
  std::atomic<bool> pending_ = false;
  std::atomic<bool> stopping_ = false;
  pid_t tracer_ = 0;
  pthread_t thread_ = 0;
};

}  // namespace bpfemu

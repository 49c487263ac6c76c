// SPDX-License-Identifier: Apache-2.0
// One thread held to one CPU for a while, and its own mask given back after that. Whoever sets the thread's mask
// meanwhile wins.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <memory>

namespace bpfemu {

// What a thread that was pinned may really use. What it forked while it was pinned has the same.
struct OwnCpus {
  cpu_set_t mask;  // to give back: all bits when there is no other limit than the thread's cpuset, which may grow
  int pinned;      // the CPU that it was held to
};

class CpuPin {
 public:
  // 0: nobody is pinned.
  pid_t tid() const { return tid_; }
  // Of the last pin, whether it lasts or not.
  std::shared_ptr<const OwnCpus> own() const { return own_; }
  // Null: it may not run on that CPU, or on no other, or its mask cannot be set (another user's, a deadline task).
  std::shared_ptr<const OwnCpus> pin(pid_t tid, int cpu);
  void release();
  // The thread ended, or that id is another thread's now.
  void forget() { tid_ = 0; }
  // The thread goes by another id since its exec.
  void renamed(pid_t tid) { tid_ = tid; }

  // Gives `tid`, pinned or forked by one that was, its own mask; not where it has another than the pin's.
  static void restore(pid_t tid, const OwnCpus& own);

 private:
  pid_t tid_ = 0;
  std::shared_ptr<const OwnCpus> own_;
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// Which address spaces a uprobe concerns: those that the tasks of its perf events live in (kernel: struct
// trace_uprobe_filter, uprobe_perf_filter).
#pragma once

#include <vector>

#include "emu/ports/host.h"

namespace bpfemu {

class UprobeFilter {
 public:
  // `listener`: a perf event, or the trace buffer. `tid` -1: every task. `inherit`: the children of the task too (kernel: inherit_event). True: the filter covered
  // that already, so nothing has to be patched.
  bool add(const void* listener, pid_t tid, bool inherit, Host& host);
  void remove(const void* listener);
  // Has it tasks of whose life it must hear?
  bool targeted() const { return !targets_.empty(); }
  void forked(pid_t parent, pid_t child);
  void executed(pid_t tid, pid_t old_tid);
  void gone(pid_t tid);

  bool covers(u64 memory, Host& host) const;

 private:
  struct Target {
    const void* listener;
    pid_t tid;  // 0: it is gone
    bool inherit;
  };
  std::vector<const void*> everyone_;
  std::vector<Target> targets_;
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
// The two system calls the tracer lives on, behind an interface so that its loop can be tested with scripted stops.
#pragma once

#include <sys/types.h>

#include "emu/base/result.h"

namespace bpfemu {

struct Waited {
  pid_t tid = 0;  // 0: nothing to report
  int status = 0;
};

// What tracing cost so far.
struct TraceCounts {
  u64 stops = 0;     // of any kind, of any thread
  u64 requests = 0;  // ptrace()
};

class TraceOs {
 public:
  virtual ~TraceOs() = default;
  // The next status of `tid`, or of any thread when -1. EINTR: the waker wants attention; ECHILD: nobody is left.
  virtual Result<Waited> wait(pid_t tid, bool block) = 0;
  // ESRCH: the thread is dead or not stopped.
  virtual Result<long> ptrace(int request, pid_t tid, u64 address, u64 data) = 0;
};

class RealTraceOs final : public TraceOs {
 public:
  Result<Waited> wait(pid_t tid, bool block) override;
  Result<long> ptrace(int request, pid_t tid, u64 address, u64 data) override;
  const TraceCounts& counts() const { return counts_; }

 private:
  TraceCounts counts_;
};

}  // namespace bpfemu

// SPDX-License-Identifier: Apache-2.0
#include "loader/trace_os.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bpfemu {

Result<Waited> RealTraceOs::wait(pid_t tid, bool block) {
  Waited waited;
  waited.tid = ::wait4(tid, &waited.status, __WALL | (block ? 0 : WNOHANG), nullptr);
  if (waited.tid < 0) return fail(errno);
  counts_.stops += waited.tid > 0 && WIFSTOPPED(waited.status);
  return waited;
}

// The raw call: glibc's wrapper gives the PEEK requests another meaning.
Result<long> RealTraceOs::ptrace(int request, pid_t tid, u64 address, u64 data) {
  ++counts_.requests;
  long r = ::syscall(SYS_ptrace, request, tid, address, data);
  if (r < 0) return fail(errno);
  return r;
}

}  // namespace bpfemu

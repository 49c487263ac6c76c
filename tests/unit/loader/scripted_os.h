// SPDX-License-Identifier: Apache-2.0
// Scripted threads: a test says what wait gives, in order, and reads what the tracer asked of ptrace.
#pragma once

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include <cstring>
#include <deque>
#include <map>
#include <vector>

#include "loader/trace_os.h"

namespace bpfemu {

class ScriptedOs final : public TraceOs {
 public:
  struct Asked {
    int request;
    pid_t tid;
    u64 data;
  };

  static constexpr int stop(int signal, int event = 0) { return event << 16 | signal << 8 | 0x7f; }

  std::deque<Waited> statuses;
  std::map<pid_t, user_regs_struct> regs;
  std::map<pid_t, u64> messages;
  std::vector<pid_t> dead;   // ptrace gives ESRCH
  std::vector<Asked> asked;  // all but register and message reads

  Result<Waited> wait(pid_t tid, bool block) override {
    for (auto it = statuses.begin(); it != statuses.end(); ++it) {
      if (tid != -1 && it->tid != tid) continue;
      const Waited found = *it;
      statuses.erase(it);
      return found;
    }
    if (!block) return Waited{};
    return fail(ECHILD);
  }

  Result<long> ptrace(int request, pid_t tid, u64 /*address*/, u64 data) override {
    for (pid_t gone : dead)
      if (gone == tid) return fail(ESRCH);
    switch (request) {
      case PTRACE_GETREGS: std::memcpy(reinterpret_cast<void*>(data), &regs[tid], sizeof(user_regs_struct)); return 0;
      case PTRACE_GETEVENTMSG: std::memcpy(reinterpret_cast<void*>(data), &messages[tid], sizeof(u64)); return 0;
      case PTRACE_SETREGS: std::memcpy(&regs[tid], reinterpret_cast<void*>(data), sizeof(user_regs_struct)); break;
      default: break;
    }
    asked.push_back({request, tid, data});
    return 0;
  }

  // The last thing asked of the thread.
  int last(pid_t tid) const {
    for (auto it = asked.rbegin(); it != asked.rend(); ++it)
      if (it->tid == tid) return it->request;
    return -1;
  }
  size_t count(int request) const {
    size_t n = 0;
    for (const Asked& a : asked) n += a.request == request;
    return n;
  }
};

}  // namespace bpfemu
